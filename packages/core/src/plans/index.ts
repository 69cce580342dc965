export { type DataClass, definePlan, type Plan } from './plan.js'
export { type S4sPilotClass, s4sPilot } from './s4s-pilot.js'
export { type UsCoreClass, usCore } from './us-core.js'
