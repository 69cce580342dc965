import type { ResourceType, SearchParams } from '../fhir/types.js'
import { type DataClass, definePlan, type Plan } from './plan.js'
import { usCore } from './us-core.js'
import type { UscdiV1Class } from './uscdi.js'

// Types of before R4 have no place among those of R4, and are read as they are.
const old = (type: string): ResourceType => type as ResourceType

/** The data classes that servers of before R4 have: what USCDI v1 grew out of. */
export type OlderClass = Exclude<UscdiV1Class, 'Provenance'> | 'Encounters'

const names = [
  ...(['Patient', 'Allergies', 'Problems', 'Medications', 'Laboratory', 'Laboratory Reports'] as const),
  ...(['Vital Signs', 'Smoking Status', 'Procedures', 'Immunizations', 'Encounters', 'Documents'] as const),
  ...(['Care Plans', 'Care Team', 'Goals', 'Devices'] as const),
]

type Change = Partial<Pick<DataClass, 'type' | 'searches' | 'includes' | 'operations' | 'more' | 'spec'>>

// The same classes, under the same names: what a participant agrees to does not depend on a server's age.
function olderPlan(
  id: string,
  title: string,
  changes: Partial<Record<OlderClass, Change>>,
  more: readonly DataClass<OlderClass | 'Reported Medications'>[],
): Plan<OlderClass | 'Reported Medications'> {
  const rows = usCore
    .only(...names)
    .classes.map(({ more: _, ...row }) => Object.freeze({ ...row, ...changes[row.name] }))
  return definePlan<OlderClass | 'Reported Medications'>({ id, title, classes: [...rows, ...more] })
}

const by = (...searches: readonly SearchParams[]): Pick<DataClass, 'searches'> => ({ searches })

const statements = (spec: string): DataClass<'Reported Medications'> =>
  Object.freeze({
    name: 'Reported Medications',
    type: 'MedicationStatement',
    searches: [{ _include: 'MedicationStatement:medication' }],
    includes: ['Medication'],
    says: 'Medicines that you have told about',
    spec,
  } satisfies DataClass<'Reported Medications'>)

// Codes without their systems, which differ from release to release.
const observations = {
  Laboratory: by({ category: 'laboratory' }),
  'Vital Signs': by({ category: 'vital-signs' }),
} as const

/**
 * The Argonaut Data Query of DSTU2: what EHRs offered first, and some still do.
 *
 * @see https://www.fhir.org/guides/argonaut/r2/
 */
export const argonaut: Plan<OlderClass | 'Reported Medications'> = olderPlan(
  'argonaut-dstu2',
  'Argonaut (DSTU2)',
  {
    ...observations,
    Medications: {
      ...by({ _include: 'MedicationOrder:medication' }),
      type: old('MedicationOrder'),
      spec: 'https://www.fhir.org/guides/argonaut/r2/StructureDefinition-argo-medicationorder.html',
    },
    Documents: { operations: ['$docref'] },
    'Care Plans': by({ category: 'assess-plan' }),
    'Care Team': {
      ...by({ category: 'careteam' }),
      type: 'CarePlan',
      spec: 'https://www.fhir.org/guides/argonaut/r2/StructureDefinition-argo-careteam.html',
    },
  },
  [statements('https://www.fhir.org/guides/argonaut/r2/StructureDefinition-argo-medicationstatement.html')],
)

/**
 * The same classes of STU3.
 *
 * @see https://hl7.org/fhir/STU3/
 */
export const stu3: Plan<OlderClass | 'Reported Medications'> = olderPlan(
  'stu3',
  'STU3',
  {
    ...observations,
    Medications: by({ _include: 'MedicationRequest:medication' }),
    'Care Plans': by({ category: 'assess-plan' }),
    'Care Team': by({}),
  },
  [statements('https://hl7.org/fhir/STU3/medicationstatement.html')],
)
