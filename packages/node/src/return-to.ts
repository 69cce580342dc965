/**
 * The absolute address within `origin` that a `returnTo` names, or undefined for anything that could lead elsewhere.
 * Absolute, because a path that resolving has made of `/.//elsewhere.example` would as a relative one be a host.
 */
export function readReturnTo(value: string | null, origin: string): string | undefined {
  if (value === null || value.length > 2000 || !/^\/(?![/\\])/.test(value)) return undefined
  // biome-ignore lint/suspicious/noControlCharactersInRegex: browsers drop some of them, which makes another URL
  if (/[\u0000-\u0020\u007f\\]/.test(value)) return undefined
  let url: URL
  try {
    url = new URL(value, origin)
  } catch {
    return undefined
  }
  return url.origin === origin && url.username === '' && url.password === '' ? url.href : undefined
}
