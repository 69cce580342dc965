/** The sandbox's endpoints, by the names of the CapabilityStatement's oauth-uris extension. */
export interface Endpoints {
  readonly authorize: string
  readonly token: string
  readonly revoke: string
  readonly introspect: string
  readonly register: string
  readonly manage: string
}

export function endpointsOf(issuer: string): Endpoints {
  return {
    authorize: `${issuer}/auth`,
    token: `${issuer}/token`,
    revoke: `${issuer}/token/revocation`,
    introspect: `${issuer}/token/introspection`,
    register: `${issuer}/reg`,
    manage: `${issuer}/manage`,
  }
}

/**
 * The document at `{fhirBase}/.well-known/smart-configuration`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#metadata
 */
export function smartConfiguration(issuer: string): Record<string, unknown> {
  const endpoints = endpointsOf(issuer)
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    authorization_endpoint: endpoints.authorize,
    token_endpoint: endpoints.token,
    revocation_endpoint: endpoints.revoke,
    introspection_endpoint: endpoints.introspect,
    registration_endpoint: endpoints.register,
    management_endpoint: endpoints.manage,
    authorization_response_iss_parameter_supported: true,
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types_supported: ['code'],
    scopes_supported: [
      'openid',
      'fhirUser',
      'launch',
      'launch/patient',
      'offline_access',
      'patient/*.rs',
      'patient/*.read',
      'user/*.rs',
      'system/*.rs',
    ],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: [
      'none',
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
    ],
    token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
    capabilities: [
      'launch-standalone',
      'launch-ehr',
      'authorize-post',
      'client-public',
      'client-confidential-symmetric',
      'client-confidential-asymmetric',
      'sso-openid-connect',
      'context-banner',
      'context-ehr-patient',
      'context-ehr-encounter',
      'context-standalone-patient',
      'permission-offline',
      'permission-online',
      'permission-patient',
      'permission-user',
      'permission-v1',
      'permission-v2',
    ],
  }
}
