import { athenahealth } from './athenahealth.js'
import type { Behavior } from './behavior.js'
import { blueButton } from './blue-button.js'
import { eClinicalWorks } from './eclinicalworks.js'
import { epic } from './epic.js'
import { meditech } from './meditech.js'
import { nextGen } from './nextgen.js'
import { oracleHealth } from './oracle-health.js'
import { va } from './va.js'
import { veradigm } from './veradigm.js'

export type { Behavior, FhirCall } from './behavior.js'

/** The products that a sandbox can behave like, by the ids of their rows in `@s4s/core/vendors`. */
export const behaviors: {
  readonly epic: Behavior
  readonly 'oracle-health': Behavior
  readonly veradigm: Behavior
  readonly eclinicalworks: Behavior
  readonly nextgen: Behavior
  readonly athenahealth: Behavior
  readonly meditech: Behavior
  readonly 'blue-button': Behavior
  readonly va: Behavior
} = {
  epic,
  'oracle-health': oracleHealth,
  veradigm,
  eclinicalworks: eClinicalWorks,
  nextgen: nextGen,
  athenahealth,
  meditech,
  'blue-button': blueButton,
  va,
}

/** The name of a product that a sandbox can behave like. */
export type BehaviorName = keyof typeof behaviors
