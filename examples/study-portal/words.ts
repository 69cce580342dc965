import {
  type Completeness,
  isSmartError,
  type Remedy,
  type Withheld,
  type WithheldReason,
} from '@s4s/browser'
import { countOf } from './view.js'

/** What a data class is called on the page. */
export function labelOf(dataClass: string): string {
  return dataClass === 'Patient' ? 'About you' : dataClass
}

/** How much of a data class a hospital sent, and why not more. */
export function completenessWords(row: Completeness, hospital: string): string {
  const items = countOf(row.count, 'item')
  switch (row.status) {
    case 'received':
      return items
    case 'none':
      return 'Nothing on file.'
    case 'not-granted':
      return `You chose not to let us read this at ${hospital}.`
    case 'refused':
      return `${hospital} did not let us read this.`
    case 'not-supported':
      return `${hospital} cannot send this kind of information.`
    case 'truncated':
      return `${items}. There may be more that ${hospital} did not send.`
    case 'failed':
      return `Something went wrong at ${hospital}. You can go back and try again.`
  }
}

const reasons: Readonly<Record<WithheldReason, string>> = {
  'not-agreed': 'of a kind that you left out',
  period: 'from before the time that you chose',
  undated: 'without a date, so that nobody can tell whether it is from that time',
  sensitive: 'about what you chose to keep to yourself',
  unreadable: 'in a file, which could hold what you keep to yourself',
  'left-out': 'that you left out',
}

/** Why an item stays with the participant. */
export const reasonWords = (reason: WithheldReason): string => reasons[reason]

/** What stays with the participant, a sentence for each reason. */
export function withheldWords(withheld: readonly Pick<Withheld, 'reason' | 'count'>[]): string[] {
  const counts = new Map<WithheldReason, number>()
  for (const { reason, count } of withheld) counts.set(reason, count + (counts.get(reason) ?? 0))
  return [...counts].map(([reason, count]) => `${countOf(count, 'item')} ${reasons[reason]}`)
}

/** Whether there is a gap that the participant should notice. */
export function isGap({ status }: Completeness): boolean {
  return status !== 'received' && status !== 'none'
}

/** An error in words that help; its message is for developers. */
export function problemWords(error: unknown, hospital = 'the hospital'): { title: string; text: string } {
  if (!isSmartError(error)) return { title: 'Something went wrong', text: 'Please try again in a moment.' }
  const special = byCode[error.code]
  return special ? special(hospital) : byRemedy[error.remedy](hospital)
}

type Words = (hospital: string) => { title: string; text: string }

const byCode: Readonly<Record<string, Words>> = {
  AUTHORIZATION_DENIED: (hospital) => ({
    title: 'You did not connect',
    text: `You said no at ${hospital}, and that is fine. We got nothing. You can try again, or go on without it.`,
  }),
  AUTHORIZATION_EXPIRED: (hospital) => ({
    title: 'That took a little too long',
    text: `To keep you safe, signing in at ${hospital} has a time limit. Please try again.`,
  }),
  AUTHORIZATION_INTERRUPTED: (hospital) => ({
    title: 'The connection was interrupted',
    text: `We were almost there when the page closed. Please connect ${hospital} once more.`,
  }),
  AUTHORIZATION_STATE_UNKNOWN: () => ({
    title: 'We could not match your sign-in',
    text: 'It may have begun in another browser or tab. Please connect again here.',
  }),
  TOKEN_ENDED: (hospital) => ({
    title: 'Your connection has ended',
    text: `${hospital} no longer lets us read your record. Connect it again to go on.`,
  }),
  SHARE_UNREACHABLE: () => ({
    title: 'The study did not answer',
    text: 'Check your internet connection and try again. Your information is sent only once, however often you try.',
  }),
  SHARE_NOTHING: () => ({
    title: 'There is nothing to share',
    text: 'The kinds of information that you ticked are empty. Go back and tick at least one that has items.',
  }),
}

const byRemedy: Readonly<Record<Remedy, Words>> = {
  retry: (hospital) => ({
    title: 'That did not work',
    text: `We could not reach ${hospital}. Please try again in a moment.`,
  }),
  reconnect: (hospital) => ({
    title: 'Please connect again',
    text: `${hospital} asks you to sign in again.`,
  }),
  'ask-participant': () => ({ title: 'We need your answer', text: 'Please go back one step and try again.' }),
  configure: () => ({
    title: 'Something is wrong on our side',
    text: 'It is nothing that you did. Please tell the study team.',
  }),
  'contact-provider': (hospital) => ({
    title: 'That did not work',
    text: `${hospital} gave an answer that we do not understand. Please tell the study team.`,
  }),
}
