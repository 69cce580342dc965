import { definePlan, type Plan } from './plan.js'

/** The data classes of CARIN Blue Button. */
export type CarinClass = 'Patient' | 'Claims' | 'Insurance'

const profile = (name: string): string =>
  `https://hl7.org/fhir/us/carin-bb/StructureDefinition-C4BB-${name}.html`

/**
 * What a health insurance knows: claims and coverage.
 *
 * @see https://hl7.org/fhir/us/carin-bb/
 */
export const carin: Plan<CarinClass> = definePlan<CarinClass>({
  id: 'carin-bb',
  title: 'CARIN Blue Button',
  classes: [
    {
      name: 'Patient',
      type: 'Patient',
      searches: [],
      says: 'Your name, date of birth, address and other facts about you',
      spec: profile('Patient'),
    },
    {
      name: 'Claims',
      type: 'ExplanationOfBenefit',
      searches: [{ _include: 'ExplanationOfBenefit:*' }],
      includes: ['Coverage', 'Organization', 'Practitioner', 'PractitionerRole', 'Location'],
      says: 'What was billed to your health insurance, and what it paid',
      spec: profile('ExplanationOfBenefit'),
    },
    {
      name: 'Insurance',
      type: 'Coverage',
      searches: [{}],
      includes: ['Organization'],
      says: 'Health insurance',
      spec: profile('Coverage'),
    },
  ],
})
