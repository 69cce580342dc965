// oidc-provider calls URL.parse, which Node has from 22.1. Imported before it.
if (typeof URL.parse !== 'function') {
  Object.defineProperty(URL, 'parse', {
    configurable: true,
    writable: true,
    value: (text: string, base?: string): URL | null => {
      try {
        return new URL(text, base)
      } catch {
        return null
      }
    },
  })
}

export {}
