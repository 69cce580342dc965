import type { Provider } from '@s4s/browser'

interface Settings {
  readonly providers: readonly Provider[]
  readonly inbox: { readonly url: string; readonly key: string }
}

// Written by whoever serves the page: an app has its own providers, and its study's inbox.
const response = await fetch('/config.json')
export const { providers, inbox }: Settings = await response.json()
