/**
 * Client authentication for servers. An entry of its own, so that no browser bundle holds it by accident.
 *
 * @module
 */
export {
  type ClientSecretOptions,
  clientSecret,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
} from './smart/client-auth.js'
export type { Signer, SigningAlgorithm } from './smart/jws.js'
