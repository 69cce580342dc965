import type { ResourceType } from '../fhir/types.js'
import { type DataClass, definePlan, type Plan } from './plan.js'
import { type UsCoreClass, usCore } from './us-core.js'

type Extra =
  | 'Reported Medications'
  | 'Administered Medications'
  | 'Appointments'
  | 'Messages'
  | 'Episodes of Care'
  | 'Imaging Studies'
  | 'Media'
  | 'Nutrition Orders'
  | 'Consents'
  | 'Lists'
  | 'Risks'
  | 'Body Structures'
  | 'Flags'
  | 'Accounts'

const extras: readonly (readonly [Extra, ResourceType, string])[] = [
  ['Reported Medications', 'MedicationStatement', 'Medicines that you have told about'],
  ['Administered Medications', 'MedicationAdministration', 'Medicines that you were given during a stay'],
  ['Appointments', 'Appointment', 'Appointments'],
  ['Messages', 'Communication', 'Messages between you and those who care for you'],
  ['Episodes of Care', 'EpisodeOfCare', 'Times in which you were cared for, such as a pregnancy'],
  ['Imaging Studies', 'ImagingStudy', 'Which images were taken of you'],
  ['Media', 'Media', 'Photos, recordings and the like'],
  ['Nutrition Orders', 'NutritionOrder', 'Diets that were ordered'],
  ['Consents', 'Consent', 'What you have agreed to at the provider'],
  ['Lists', 'List', 'Lists that your record is put together by'],
  ['Risks', 'RiskAssessment', 'Risks that were assessed'],
  ['Body Structures', 'BodyStructure', 'Places of your body that findings are about'],
  ['Flags', 'Flag', 'Warnings that your record shows to those who care for you'],
  ['Accounts', 'Account', 'Accounts that your care is billed to'],
]

/** The data classes of the whole record. */
export type WholeRecordClass = UsCoreClass | Extra

/**
 * US Core, and what else servers may have of a patient. Many offer little of what is added here; what they do not offer
 * is reported as `not-supported`.
 */
export const wholeRecord: Plan<WholeRecordClass> = definePlan<WholeRecordClass>({
  id: 'whole-record',
  title: 'The whole record',
  classes: [
    ...usCore.classes,
    ...extras.map(
      ([name, type, says]): DataClass<WholeRecordClass> =>
        Object.freeze({
          name,
          type,
          searches: [{}],
          says,
          spec: `https://hl7.org/fhir/R4/${type.toLowerCase()}.html`,
        }),
    ),
  ],
})
