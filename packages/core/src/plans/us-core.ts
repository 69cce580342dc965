import type { ResourceType, SearchParams } from '../fhir/types.js'
import { type DataClass, definePlan, type Plan } from './plan.js'

const observationCategory = 'http://terminology.hl7.org/CodeSystem/observation-category'
const usCoreCategory = 'http://hl7.org/fhir/us/core/CodeSystem/us-core-category'
const profile = (name: string): string =>
  `https://hl7.org/fhir/us/core/StructureDefinition-us-core-${name}.html`

type Extra = Pick<DataClass, 'includes' | 'attachments' | 'by' | 'operations' | 'more'>

/** The names of the data classes of US Core. */
export type UsCoreClass =
  | 'Patient'
  | 'Allergies'
  | 'Problems'
  | 'Medications'
  | 'Dispensed Medications'
  | 'Laboratory'
  | 'Laboratory Reports'
  | 'Vital Signs'
  | 'Smoking Status'
  | 'Social History'
  | 'Tests and Imaging'
  | 'Assessments'
  | 'Questionnaires'
  | 'Procedures'
  | 'Immunizations'
  | 'Encounters'
  | 'Documents'
  | 'Care Plans'
  | 'Care Team'
  | 'Goals'
  | 'Devices'
  | 'Insurance'
  | 'Orders'
  | 'Specimens'
  | 'Related Persons'
  | 'Family History'
  | 'Preferences'
  | 'Advance Directives'
  | 'Clinicians'
  | 'Facilities'
  | 'Provenance'

const row = <Name extends UsCoreClass>(
  name: Name,
  type: ResourceType,
  searches: readonly SearchParams[],
  says: string,
  spec: string,
  extra: Extra = {},
): DataClass<Name> => Object.freeze({ name, type, searches, says, spec, ...extra })

const category = (...values: readonly string[]): SearchParams[] =>
  values.map((value) => ({ category: value }))

const rows: readonly DataClass<UsCoreClass>[] = [
  row(
    'Patient',
    'Patient',
    [],
    'Your name, date of birth, address and other facts about you',
    profile('patient'),
  ),
  row('Allergies', 'AllergyIntolerance', [{}], 'Allergies and intolerances', profile('allergyintolerance')),
  row(
    'Problems',
    'Condition',
    [{}],
    'Health problems, concerns and diagnoses',
    profile('condition-problems-health-concerns'),
  ),
  row(
    'Medications',
    'MedicationRequest',
    // US Core: a search by patient alone is not one that servers must answer; intent is the second parameter.
    [
      {
        intent: 'proposal,plan,order,original-order,reflex-order,filler-order,instance-order,option',
        _include: 'MedicationRequest:medication',
      },
    ],
    'Medicines that were prescribed or that you told about',
    profile('medicationrequest'),
    { includes: ['Medication'] },
  ),
  row(
    'Dispensed Medications',
    'MedicationDispense',
    [{ _include: 'MedicationDispense:medication' }],
    'Medicines that a pharmacy handed out',
    profile('medicationdispense'),
    {
      includes: ['Medication'],
    },
  ),
  row(
    'Laboratory',
    'Observation',
    category(`${observationCategory}|laboratory`),
    'Results of lab tests',
    profile('observation-lab'),
  ),
  row(
    'Laboratory Reports',
    'DiagnosticReport',
    [{}],
    'Reports of laboratories, imaging and other tests',
    profile('diagnosticreport-lab'),
    {
      attachments: true,
      includes: ['Binary'],
    },
  ),
  row(
    'Vital Signs',
    'Observation',
    category(`${observationCategory}|vital-signs`),
    'Blood pressure, weight, temperature and other vital signs',
    profile('vital-signs'),
  ),
  row(
    'Smoking Status',
    'Observation',
    [{ code: 'http://loinc.org|72166-2' }],
    'Whether you smoke or have smoked',
    profile('smokingstatus'),
    { more: [{ code: 'http://loinc.org|11367-0' }] },
  ),
  row(
    'Social History',
    'Observation',
    category(`${observationCategory}|social-history`),
    'Occupation, pregnancy, tobacco, alcohol and the like',
    profile('simple-observation'),
    // Not every server puts these under the category.
    {
      more: ['11341-5', '82810-3', '86645-9', '76690-7'].map((code) => ({
        code: `http://loinc.org|${code}`,
      })),
    },
  ),
  row(
    'Tests and Imaging',
    'Observation',
    category(
      ...['imaging', 'procedure', 'exam', 'therapy', 'activity'].map(
        (code) => `${observationCategory}|${code}`,
      ),
    ),
    'Results of examinations, imaging and other tests',
    profile('observation-clinical-result'),
  ),
  row(
    'Assessments',
    'Observation',
    category(
      `${observationCategory}|survey`,
      ...['sdoh', 'functional-status', 'disability-status', 'cognitive-status'].map(
        (code) => `${usCoreCategory}|${code}`,
      ),
    ),
    'Questionnaires and screenings about your health and living',
    profile('observation-screening-assessment'),
  ),
  row(
    'Questionnaires',
    'QuestionnaireResponse',
    [{}],
    'Answers you gave in questionnaires',
    profile('questionnaireresponse'),
  ),
  row('Procedures', 'Procedure', [{}], 'Operations and other procedures', profile('procedure')),
  row('Immunizations', 'Immunization', [{}], 'Vaccinations', profile('immunization')),
  row('Encounters', 'Encounter', [{}], 'Visits and stays', profile('encounter')),
  row(
    'Documents',
    'DocumentReference',
    [{}],
    'Clinical notes and other documents',
    profile('documentreference'),
    {
      attachments: true,
      includes: ['Binary'],
      operations: ['$docref'],
    },
  ),
  row(
    'Care Plans',
    'CarePlan',
    category('http://hl7.org/fhir/us/core/CodeSystem/careplan-category|assess-plan'),
    'Assessment and plan of treatment',
    profile('careplan'),
    // The category was required until US Core 8, and is open since.
    { more: [{}] },
  ),
  row(
    'Care Team',
    'CareTeam',
    [{ status: 'proposed,active,suspended,inactive,entered-in-error' }],
    'The people who care for you',
    profile('careteam'),
  ),
  row('Goals', 'Goal', [{}], 'Goals that you and your care team have set', profile('goal')),
  row('Devices', 'Device', [{}], 'Implanted and other devices', profile('implantable-device')),
  row('Insurance', 'Coverage', [{}], 'Health insurance', profile('coverage')),
  row('Orders', 'ServiceRequest', [{}], 'Orders and referrals', profile('servicerequest')),
  row('Specimens', 'Specimen', [{}], 'Samples that were taken', profile('specimen')),
  row('Related Persons', 'RelatedPerson', [{}], 'Family and carers in your record', profile('relatedperson')),
  row(
    'Family History',
    'FamilyMemberHistory',
    [{}],
    'Illnesses in your family',
    'https://hl7.org/fhir/R4/familymemberhistory.html',
  ),
  row(
    'Preferences',
    'Observation',
    category(
      ...['treatment-intervention-preference', 'care-experience-preference'].map(
        (code) => `${usCoreCategory}|${code}`,
      ),
    ),
    'How you want to be treated and cared for',
    profile('treatment-intervention-preference'),
  ),
  row(
    'Advance Directives',
    'Observation',
    category(`${usCoreCategory}|observation-adi-documentation`),
    'Which advance directives you have made',
    profile('observation-adi-documentation'),
  ),
  row('Clinicians', 'Practitioner', [], 'The clinicians that your record names', profile('practitioner'), {
    by: 'reference',
    includes: ['PractitionerRole'],
  }),
  row(
    'Facilities',
    'Organization',
    [],
    'The clinics, laboratories and pharmacies that your record names',
    profile('organization'),
    { by: 'reference', includes: ['Location'] },
  ),
  row('Provenance', 'Provenance', [], 'Who wrote what in your record', profile('provenance'), {
    by: 'revinclude',
  }),
]

/**
 * All that US Core asks of a patient's record.
 *
 * @see https://hl7.org/fhir/us/core/
 */
export const usCore: Plan<UsCoreClass> = definePlan<UsCoreClass>({
  id: 'us-core',
  title: 'US Core',
  classes: rows,
})
