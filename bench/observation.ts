/** About one kilobyte, as a laboratory result is. */
export function observation(id: string, number: number): unknown {
  return {
    resourceType: 'Observation',
    id,
    meta: {
      versionId: '1',
      lastUpdated: '2026-03-01T10:00:00.000Z',
      profile: ['http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab'],
    },
    status: 'final',
    category: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/observation-category',
            code: 'laboratory',
            display: 'Laboratory',
          },
        ],
        text: 'Laboratory',
      },
    ],
    code: {
      coding: [
        { system: 'http://loinc.org', code: '2345-7', display: 'Glucose [Mass/volume] in Serum or Plasma' },
      ],
      text: 'Glucose',
    },
    subject: { reference: 'Patient/p1', display: 'Somebody' },
    encounter: { reference: `Encounter/e${number % 40}` },
    effectiveDateTime: '2026-02-27T08:15:00-05:00',
    issued: '2026-02-27T11:15:00.000-05:00',
    performer: [{ reference: 'Organization/lab', display: 'The laboratory' }],
    valueQuantity: {
      value: 90 + (number % 50) / 10,
      unit: 'mg/dL',
      system: 'http://unitsofmeasure.org',
      code: 'mg/dL',
    },
    referenceRange: [
      { low: { value: 70, unit: 'mg/dL' }, high: { value: 99, unit: 'mg/dL' }, text: '70 to 99 mg/dL' },
    ],
  }
}
