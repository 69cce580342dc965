/**
 * Client authentication for servers. An entry of its own, so that no browser bundle holds it by accident.
 *
 * @module
 */
export { type ClientSecretOptions, clientSecret, privateKeyJwt } from './smart/client-auth.js'
