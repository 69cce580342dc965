import { type Delivery, httpDelivery, loadStudy, type Provider, type Study, s4sPilot } from '@s4s/browser'
import { tusParts } from '@s4s/core/tus'

/** What whoever serves the page has to say: the hospitals it is registered with, and the study's inbox. */
interface Config {
  readonly providers: readonly Provider[]
  readonly inbox: { readonly url: string; readonly key: string }
}

/** The study, the hospitals it works with, and the way to it. */
export interface OpenStudy {
  readonly study: Study
  readonly providers: readonly Provider[]
  readonly deliver: Delivery
}

export async function openStudy(): Promise<OpenStudy> {
  const response = await fetch('/config.json')
  if (!response.ok) throw new Error('the portal has no config.json')
  const { providers, inbox }: Config = await response.json()
  const here = `${location.origin}/`
  const study = await loadStudy(`${here}study.json`, { allow: [here], plans: [s4sPilot] })
  return { study, providers, deliver: httpDelivery({ ...inbox, parts: tusParts() }) }
}
