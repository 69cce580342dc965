export {
  asymmetricClientId,
  backendClientId,
  confidentialClientId,
  confidentialClientSecret,
  publicClientId,
  type SandboxClient,
} from './auth/clients.js'
export type { ClientKey } from './auth/keys.js'
export { generateRecords, loadFolder, type Person, people } from './data/index.js'
export type { Fault, FaultRequest, Faults } from './faults.js'
export type { ExportBehavior } from './fhir/index.js'
export type { Answer, PostedRequest } from './participant.js'
export type { SeenRequest } from './requests.js'
export { type Sandbox, type SandboxOptions, startSandbox } from './sandbox.js'
export { type BehaviorName, behaviors } from './vendors/index.js'
