import { type Plan, type Provider, type S4sPilotClass, s4sPilot } from '@s4s/browser'

interface Settings {
  readonly providers: readonly Provider[]
  readonly inbox: { readonly url: string; readonly key: string }
}

// Written by whoever serves the page: an app has its own providers, and its study's inbox.
const response = await fetch('/config.json')
export const { providers, inbox }: Settings = await response.json()

/** What the study asks for. */
export const plan: Plan<S4sPilotClass> = s4sPilot

export function addButton(textContent: string, onclick: () => unknown): void {
  document.body.append(Object.assign(document.createElement('button'), { textContent, onclick }))
}
