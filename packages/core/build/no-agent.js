// Stands in for agentkeepalive in the built core. fhir-kit-client makes agents only in its own network call,
// which src/fhir/rest.ts replaces, so nothing here is ever called.
export default {}
