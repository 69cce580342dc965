import { type Plan, s4sPilot, usCore } from '@s4s/core'
import type { ArgsDef } from 'citty'
import { optionOf, type Typed } from './typed.js'
import { UsageError } from './usage.js'

const plans: readonly Plan[] = [usCore, s4sPilot]

export const planOption: ArgsDef = {
  plan: {
    type: 'string',
    valueHint: plans.map(({ id }) => id).join('|'),
    description: 'What to collect; us-core unless given',
  },
}

/** The plan that was asked for. @throws UsageError */
export function planOf(typed: Typed): Plan {
  const wanted = optionOf(typed, 'plan') ?? usCore.id
  const plan = plans.find(({ id }) => id === wanted)
  if (!plan) throw new UsageError(`--plan is ${plans.map(({ id }) => id).join(' or ')}`)
  return plan
}
