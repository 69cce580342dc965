// Stands in for fhir-kit-client's own network call in the built core: the verbs, without anything that could send.
// src/fhir/rest.ts puts `request` in its place, which goes through the guarded transport.
export class HttpClient {
  constructor({ baseUrl }) {
    this.baseUrl = baseUrl
  }

  request() {
    return Promise.reject(new TypeError('there is no network call here'))
  }

  get(url, options) {
    return this.request('GET', url, options)
  }

  post(url, body, options = {}) {
    const headers = { 'content-type': 'application/fhir+json', ...lowerCase(options.headers) }
    return this.request('POST', url, { ...options, headers }, body)
  }
}

function lowerCase(headers = {}) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
