import { type Delivery, defineStudy, httpDelivery, type Provider, type Study, s4sPilot } from '@s4s/browser'

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
  const study = defineStudy({
    id: 'sleep-2026',
    title: 'Sleep and Recovery',
    purpose: 'We want to learn how sleep shapes recovery after surgery',
    sponsor: 'Example University',
    contact: 'sleep-study@example.org',
    plan: s4sPilot,
    recipient: inbox.url,
    consent: { version: '1', text: consentText },
  })
  return { study, providers, deliver: httpDelivery(inbox) }
}

const consentText = `I agree to share parts of my health record with the Sleep and Recovery study at Example University.

What the study gets. A copy of the kinds of information that I left ticked, from the places that I connected. It gets them once, now. It does not get my password.

What the study does with it. Researchers study how sleep shapes recovery after surgery. They do not use my name in what they publish, and they do not sell my information.

What I should know. Once the study has my information, the privacy rules of my hospital no longer cover it. The rules of the study do.

I can change my mind. I can withdraw on this page at any time and I do not have to say why. The study then deletes what I shared. It cannot take back results that it has already worked out.

Taking part is my choice. My care does not depend on it.`
