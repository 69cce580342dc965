/**
 * Client authentication and backend services, for servers. An entry of its own, so that no browser bundle holds it by accident.
 *
 * @module
 */
export { type BackendOptions, type BackendService, createBackendService } from './backend.js'
export { namesOfPatients } from './record/patient-guard.js'
export { createOpenRequest, type ServiceAnswer, type ServiceRequest } from './service-request.js'
export {
  type ClientSecretOptions,
  clientSecret,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
} from './smart/client-auth.js'
export type { Signer, SigningAlgorithm } from './smart/jws.js'
