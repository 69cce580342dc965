import { defineStudy, type Study, s4sPilot } from '@s4s/node'
import type { StudyKeys } from '@s4s/node/inbox'

/**
 * The study, as its team writes it: the portal's server publishes it, and the page loads it from there.
 *
 * @param recipient URL of its inbox
 * @param keys what packages are sealed to, and what receipts are signed with
 */
export function sleepStudy(recipient: string, keys: StudyKeys['study']): Study {
  return defineStudy({
    id: 'sleep-2026',
    title: 'Sleep and Recovery',
    purpose: 'We want to learn how sleep shapes recovery after surgery',
    sponsor: 'Example University',
    irb: { name: 'Example University Review Board', id: 'IRB-2026-0117' },
    contact: 'sleep-study@example.org',
    plan: s4sPilot,
    recipient,
    recipients: [{ name: 'Example University', role: 'runs the study' }],
    sharing: 'once',
    until: '2031-12-31',
    consent: { version: '2', text: consentText },
    ...keys,
  })
}

const consentText = `I agree to share parts of my health record with the Sleep and Recovery study at Example University.

What the study gets. A copy of the kinds of information that I left ticked, from the places that I connected, and nothing that I left out. It is sealed, so that only the researchers can open it. They get it once, now. They do not get my password.

What the study does with it. Researchers study how sleep shapes recovery after surgery. They do not use my name in what they publish, and they do not sell my information.

What I should know. Once the study has my information, the privacy rules of my hospital no longer cover it. The rules of the study do.

I can change my mind. I can withdraw on this page at any time and I do not have to say why. The study then deletes what I shared. It cannot take back results that it has already worked out.

Taking part is my choice. My care does not depend on it.`
