import type { Behavior } from './behavior.js'

export const veradigm: Behavior = {
  software: 'Veradigm FHIR',
  auth: {
    // SMART 1 only: one scope in the new way costs the request.
    scopes: (asked) =>
      asked.some((scope) => /\.[cruds]+$/.test(scope) && scope.includes('/')) ? undefined : asked,
    claims: (patient) => ({ local_patient_id: patient }),
    withholds: ['patient', 'id_token'],
  },
  configuration: ({ token_endpoint_auth_methods_supported: methods }, fhirBase) => ({
    token_endpoint_auth_methods_supported: undefined,
    token_endpoint_auth_methods: [
      ...(methods as string[]),
      'client_secret_basic',
      'self_signed_tls_client_auth',
    ],
    // A page for people, it should be.
    management_endpoint: fhirBase,
  }),
}
