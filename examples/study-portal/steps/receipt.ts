import { consentPage, type Share } from '@s4s/browser'
import type { Step } from '../portal.js'
import { button, countOf, dateOf, el, heading, listOf } from '../view.js'
import { labelOf, withheldWords } from '../words.js'

export const receiptStep: Step = {
  name: 'receipt',
  label: 'Receipt',
  before: ({ notes }) => (notes.read().shares.length > 0 ? undefined : 'connect'),
  render(portal) {
    const { shares, withdrawal } = portal.notes.read()
    const last = shares.length - 1
    return [
      heading(withdrawal ? 'Your receipt' : 'Thank you: your record is shared'),
      el(
        'p',
        { className: 'lead' },
        'This is your receipt. You can save it or print it. It also stays here in this browser. What you shared you can save now; it is not kept here.',
      ),
      ...(withdrawal ? [el('p', { className: 'badge gap' }, 'You have withdrawn since.')] : []),
      ...shares
        .map((share, index) => receipt(share, index === last ? undefined : 'An earlier time'))
        .reverse(),
      el(
        'p',
        { className: 'actions' },
        button('Save a copy', () => save(shares), { className: 'main' }),
        portal.copy &&
          button('Save what you shared', () => download(portal.copy as Blob, 'sleep-and-recovery.zip')),
        button('Save the consent', () => saveConsent(shares[last] as Share)),
        button('Print', () => print()),
        button('Share again', () => portal.go('connect'), { className: 'quiet' }),
        button('Withdraw', () => portal.go('withdraw'), { className: 'quiet' }),
      ),
    ]
  },
}

function receipt({ receipt: given, study, consent, withheld, digest }: Share, title?: string): HTMLElement {
  const rows: [string, string][] = [
    ['Study', study.title],
    ['Received', dateOf(given.receivedAt)],
    ['How much', `${countOf(given.resources, 'item')} in ${countOf(given.parts, 'file')}`],
    ['Kinds of information', listOf(consent.dataClasses.map(labelOf))],
    ['Kept back', withheld.length === 0 ? 'Nothing' : withheldWords(withheld).join('; ')],
    ['Signed by', consent.signature],
    ['Signed for the study', given.signature === undefined ? 'No' : 'Yes, and the signature was checked'],
    ['Receipt number', given.id],
    ['Fingerprint of what was sent', digest],
  ]
  return el(
    'section',
    { className: 'panel receipt', 'aria-label': title ?? 'Receipt' },
    title !== undefined && el('h2', {}, title),
    el('dl', {}, ...rows.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))),
  )
}

/** A file with the receipts and the consents, without the key to withdraw with. */
function save(shares: readonly Share[]): void {
  const copy = shares.map(({ consent, ...share }) => {
    const { withdrawalKey: _key, sealingKey: _seal, ...agreed } = consent
    return { ...share, consent: agreed }
  })
  download(
    new Blob([JSON.stringify(copy, null, 2)], { type: 'application/json' }),
    'sleep-and-recovery-receipt.json',
  )
}

/** The consent as a page of its own, to print and to file. */
function saveConsent({ consent }: Share): void {
  download(new Blob([consentPage(consent)], { type: 'text/html' }), 'sleep-and-recovery-consent.html')
}

function download(blob: Blob, name: string): void {
  const href = URL.createObjectURL(blob)
  el('a', { href, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(href), 10_000)
}
