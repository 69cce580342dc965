/** A parsed http(s) URL without credentials, or undefined. */
export function parseUrl(text: string, base?: string): URL | undefined {
  if (text.length > 16_384) return undefined
  let url: URL
  try {
    url = new URL(text, base)
  } catch {
    return undefined
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  if (url.username !== '' || url.password !== '') return undefined
  return url
}

/** https, or http to this very machine. */
export function isSecure(url: URL): boolean {
  return url.protocol === 'https:' || isLoopback(url)
}

/** 127.0.0.0/8, ::1 or localhost. */
export function isLoopback(url: URL): boolean {
  return url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(url.hostname)
}

/**
 * True when `url` is `base` or below it: same scheme, host and port, and the path begins with the base's path
 * at a segment boundary. Never a test of strings: `https://ehr.org.evil` begins with `https://ehr.org`.
 */
export function isWithin(url: URL, base: URL): boolean {
  if (url.origin !== base.origin) return false
  // WHATWG parsing has already resolved `..`; an encoded one is left alone by it but not by every server.
  if (/%2e|%2f|%5c/i.test(url.pathname)) return false
  const root = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`
  return url.pathname === base.pathname || url.pathname.startsWith(root)
}

/** Appends a path to a base that may or may not end in a slash (SMART App Launch 2.2 §discovery). */
export function join(base: string, path: string): string {
  return `${base.endsWith('/') ? base.slice(0, -1) : base}/${path}`
}

/** True for a string of letters, digits, dots, dashes and underscores that may stand as one segment of a path. */
export function isPathSegment(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9._-]{1,256}$/.test(text) && text !== '.' && text !== '..'
}
