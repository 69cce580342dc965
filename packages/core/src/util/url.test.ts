import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSecure, isWithin, join, parseUrl } from './url.js'

const base = new URL('https://ehr.org/api/fhir')

test.each([
  'https://ehr.org.evil/api/fhir/Patient',
  'https://ehr.org/api/fhirx/Patient',
  'https://ehr.org/api/fhir/../other',
  'https://ehr.org/api/fhir/..%2f..%2fadmin',
  'https://ehr.org/api/fhir/%2e%2e/admin',
  'https://ehr.org:444/api/fhir/Patient',
  'http://ehr.org/api/fhir/Patient',
  'https://evil/https://ehr.org/api/fhir/Patient',
  'https://evil#@ehr.org/api/fhir/',
  'https://xn--her-hoa.org/api/fhir/Patient',
])('T29 %s is not within the FHIR base', (text) => {
  const url = parseUrl(text)
  expect(url !== undefined && isWithin(url, base)).toBe(false)
})

test.each([
  'https://user@ehr.org/api/fhir',
  'https://ehr.org@evil/api/fhir',
  'javascript:alert(1)',
  'data:,x',
  '//',
  'ehr.org',
  'file:///etc/passwd',
  `https://ehr.org/${'x'.repeat(20_000)}`,
])('T33 %.60s is not a URL to send anything to', (text) => {
  expect(parseUrl(text)).toBeUndefined()
})

test('T29 whatever is joined to the base and parsed is within it or is refused', () => {
  fc.assert(
    fc.property(fc.webPath(), fc.webQueryParameters(), (path, query) => {
      const url = parseUrl(join(base.href, path.replace(/^\/+/, '')) + (query ? `?${query}` : ''))
      if (url && isWithin(url, base)) expect(url.href.startsWith('https://ehr.org/api/fhir')).toBe(true)
    }),
  )
})

test('U-01 plain http is secure on loopback only', () => {
  expect(isSecure(new URL('http://127.0.0.1:8080'))).toBe(true)
  expect(isSecure(new URL('http://[::1]:8080'))).toBe(true)
  expect(isSecure(new URL('http://127.0.0.1.nip.io'))).toBe(false)
  expect(isSecure(new URL('http://10.0.0.1'))).toBe(false)
})
