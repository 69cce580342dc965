/** As much of a browser as a redirect needs: it keeps cookies, and does not follow. */
export interface Browser {
  readonly cookies: Map<string, string>
  go(url: string, init?: RequestInit): Promise<Response>
}

export function newBrowser(): Browser {
  const cookies = new Map<string, string>()
  return {
    cookies,
    async go(url, init = {}) {
      const headers = new Headers(init.headers)
      if (cookies.size > 0)
        headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
      const response = await fetch(url, { ...init, headers, redirect: 'manual' })
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        cookies.set(name, value)
      }
      return response
    },
  }
}
