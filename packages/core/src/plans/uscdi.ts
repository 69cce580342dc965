import { definePlan, type Plan } from './plan.js'
import { type UsCoreClass, usCore } from './us-core.js'

/** The data classes of USCDI v1. */
export type UscdiV1Class =
  | 'Patient'
  | 'Allergies'
  | 'Problems'
  | 'Medications'
  | 'Laboratory'
  | 'Laboratory Reports'
  | 'Vital Signs'
  | 'Smoking Status'
  | 'Procedures'
  | 'Immunizations'
  | 'Documents'
  | 'Care Plans'
  | 'Care Team'
  | 'Goals'
  | 'Devices'
  | 'Provenance'

/** The data classes of USCDI v3. */
export type UscdiV3Class =
  | UscdiV1Class
  | 'Dispensed Medications'
  | 'Social History'
  | 'Tests and Imaging'
  | 'Assessments'
  | 'Questionnaires'
  | 'Encounters'
  | 'Insurance'
  | 'Orders'
  | 'Specimens'
  | 'Related Persons'
  | 'Clinicians'

/** The data classes of USCDI v4. */
export type UscdiV4Class = UscdiV3Class | 'Preferences' | 'Facilities'

/** What certified EHRs had to offer until the end of 2025. @see https://www.healthit.gov/isp/united-states-core-data-interoperability-uscdi */
export const uscdiV1: Plan<UscdiV1Class> = definePlan({
  id: 'uscdi-v1',
  title: 'USCDI v1',
  classes: usCore.only(
    ...(['Patient', 'Allergies', 'Problems', 'Medications', 'Laboratory', 'Laboratory Reports'] as const),
    ...(['Vital Signs', 'Smoking Status', 'Procedures', 'Immunizations', 'Documents'] as const),
    ...(['Care Plans', 'Care Team', 'Goals', 'Devices', 'Provenance'] as const),
  ).classes,
})

/** What certified EHRs have to offer from 2026 on. @see https://www.healthit.gov/isp/united-states-core-data-interoperability-uscdi */
export const uscdiV3: Plan<UscdiV3Class> = without('uscdi-v3', 'USCDI v3', [
  ...(['Family History', 'Preferences', 'Advance Directives', 'Facilities'] as const),
])

/** USCDI v4. @see https://www.healthit.gov/isp/united-states-core-data-interoperability-uscdi */
export const uscdiV4: Plan<UscdiV4Class> = without('uscdi-v4', 'USCDI v4', [
  ...(['Family History', 'Advance Directives'] as const),
])

function without<Left extends UsCoreClass>(
  id: string,
  title: string,
  left: readonly Left[],
): Plan<Exclude<UsCoreClass, Left>> {
  const kept = usCore.classes
    .map(({ name }) => name)
    .filter((name): name is Exclude<UsCoreClass, Left> => !left.some((one) => one === name))
  return definePlan({ id, title, classes: usCore.only(...kept).classes })
}
