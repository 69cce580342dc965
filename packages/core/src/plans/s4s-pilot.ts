import type { Plan } from './plan.js'
import { definePlan } from './plan.js'
import { type UsCoreClass, usCore } from './us-core.js'

/** The data classes of the Sync for Science pilot. */
export type S4sPilotClass = Extract<
  UsCoreClass,
  | 'Patient'
  | 'Smoking Status'
  | 'Problems'
  | 'Medications'
  | 'Allergies'
  | 'Laboratory'
  | 'Vital Signs'
  | 'Procedures'
  | 'Immunizations'
  | 'Documents'
>

/** The elements that the Sync for Science pilot shared, as US Core asks for them today. */
export const s4sPilot: Plan<S4sPilotClass> = definePlan({
  id: 's4s-pilot',
  title: 'Sync for Science pilot',
  classes: usCore.only(
    'Patient',
    'Smoking Status',
    'Problems',
    'Medications',
    'Allergies',
    'Laboratory',
    'Vital Signs',
    'Procedures',
    'Immunizations',
    'Documents',
  ).classes,
})
