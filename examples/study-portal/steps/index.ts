import type { Step } from '../portal.js'
import { collectStep } from './collect.js'
import { connectStep } from './connect.js'
import { receiptStep } from './receipt.js'
import { reviewStep } from './review.js'
import { shareStep } from './share.js'
import { withdrawStep } from './withdraw.js'

/** The steps, in the order in which they are walked. */
export const steps: readonly [Step, ...Step[]] = [
  connectStep,
  collectStep,
  reviewStep,
  shareStep,
  receiptStep,
  withdrawStep,
]
