import type { Resource } from '../../fhir/resource.js'
import { createChart } from '../chart.js'
import {
  concept,
  conditions,
  labs,
  medicines,
  panels,
  snomed,
  systems,
  vaccines,
  visitTypes,
} from '../codes.js'
import {
  addAllergy,
  addCareTeam,
  addCondition,
  addCoverage,
  addImmunization,
  addNote,
  addPanel,
  addPrescription,
  addVitals,
  noteTypes,
  plainNote,
} from '../entries.js'
import type { Random } from '../random.js'
import { at, dayLength } from '../time.js'

/** Leo, a healthy child of six, whose mother Camila acts for him. */
export function leo(random: Random): Iterable<Resource> {
  const chart = createChart(
    {
      id: 'leo',
      given: ['Leo'],
      family: 'Rivera',
      gender: 'male',
      birthDate: '2020-03-14',
      race: ['2106-3', 'White'],
      ethnicity: ['2135-2', 'Hispanic or Latino'],
      language: ['en', 'English'],
      clinician: 'hana-sato',
      since: at('2020-03-14', '10:20'),
    },
    random,
  )
  const mother = chart.add(
    'RelatedPerson',
    at('2020-03-14', '10:30'),
    {
      identifier: [{ system: 'urn:oid:2.16.840.1.113883.19.5.1', value: 'MRN-CAMILA' }],
      active: true,
      patient: chart.patient,
      relationship: [concept({ system: systems.roleCode, code: 'MTH', display: 'mother' })],
      name: [{ use: 'official', text: 'Camila Rivera', family: 'Rivera', given: ['Camila'] }],
      telecom: [{ system: 'phone', value: '312-555-0142', use: 'mobile' }],
      gender: 'female',
      birthDate: '1993-07-08',
    },
    { id: 'leo-mother', profile: 'relatedperson' },
  )
  addCoverage(chart, at('2020-03-16'), 'PHP-500219-02', ['512', 'Commercial Managed Care - PPO'])

  const { hepatitisB, rotavirus, dtap, hib, polio, pneumococcal, mmr, varicella, hepatitisA, influenza } =
    vaccines
  const checks = [
    ['2020-05-15', 5.4, 58, 39, [hepatitisB, rotavirus, dtap, hib, polio]],
    ['2020-07-17', 6.9, 63.5, 41.6, [rotavirus, dtap, pneumococcal]],
    ['2021-03-16', 9.8, 76, 46.2, [mmr, varicella, hepatitisA]],
    ['2022-03-15', 12.4, 87.5, 48.4, [influenza]],
    ['2024-03-19', 16.3, 102.4, undefined, [dtap, mmr]],
    ['2026-03-17', 20.6, 115.8, undefined, [influenza]],
  ] as const
  for (const [date, weight, height, headCircumference, given] of checks) {
    const time = at(date, '14:10')
    const infant = time < at('2022-01-01')
    const visit = chart.visit({ time, kind: visitTypes.wellChild, minutes: 30 })
    addVitals(chart, visit, {
      child: true,
      weight,
      ...(infant ? {} : { heartRate: random.about(96, 5) }),
      ...(infant && headCircumference ? { headCircumference } : {}),
      ...(time > at('2023-01-01') ? { height, bmiPercentile: random.about(52, 4) } : {}),
    })
    for (const vaccine of given) addImmunization(chart, visit, vaccine)
    if (date === '2022-03-15') addPanel(chart, visit, panels.lead, [[labs.lead, 1.1]])
    if (date === '2020-05-15') addAllergy(chart, visit, concept(snomed('716186003', 'No known allergy')))
    if (date === '2026-03-17') {
      addNote(
        chart,
        visit,
        noteTypes.progress,
        plainNote(chart, visit, 'Well child visit', [
          'Six years old, here with his mother. Reads well, sleeps well, eats most things.',
          'Growth follows his curve. Examination normal. Vision and hearing normal.',
          'Plan: influenza vaccine given today; next visit in a year.',
        ]),
      )
    }
  }

  const ill = chart.visit({ time: at('2023-11-08', '09:40'), kind: visitTypes.symptom })
  addVitals(chart, ill, { child: true, temperature: 38.7, weight: 15.6 })
  const ear = addCondition(chart, ill, conditions.earInfection, {
    category: 'encounter-diagnosis',
    resolved: ill.time + 9 * dayLength,
  })
  addPrescription(
    chart,
    ill,
    { inline: medicines.amoxicillin },
    {
      dose: '8 mL twice a day for seven days',
      unit: 'mL',
      used: 16,
      daily: 2,
      status: 'completed',
      reason: ear,
      refillDays: 7,
      dispenses: 1,
    },
  )
  addCareTeam(
    chart,
    at('2024-03-19', '14:40'),
    ['hana-sato'],
    [
      {
        role: [concept(snomed('72705000', 'Mother'))],
        member: { reference: mother, display: 'Camila Rivera' },
      },
    ],
  )
  return chart.finish()
}
