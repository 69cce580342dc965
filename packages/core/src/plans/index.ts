/**
 * What a record is: the plans to collect by, beside `usCore` and `s4sPilot`.
 *
 * @module
 */

export { type CarinClass, carin } from './carin.js'
export { argonaut, type OlderClass, stu3 } from './older.js'
export { type DataClass, definePlan, type Plan } from './plan.js'
export { type S4sPilotClass, s4sPilot } from './s4s-pilot.js'
export { type UsCoreClass, usCore } from './us-core.js'
export {
  type UscdiV1Class,
  type UscdiV3Class,
  type UscdiV4Class,
  uscdiV1,
  uscdiV3,
  uscdiV4,
} from './uscdi.js'
export { type WholeRecordClass, wholeRecord } from './whole-record.js'
