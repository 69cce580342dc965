import type { Share } from '@s4s/browser'
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
        'This is your receipt. You can save it or print it. It also stays here in this browser.',
      ),
      ...(withdrawal ? [el('p', { className: 'badge gap' }, 'You have withdrawn since.')] : []),
      ...shares
        .map((share, index) => receipt(share, index === last ? undefined : 'An earlier time'))
        .reverse(),
      el(
        'p',
        { className: 'actions' },
        button('Save a copy', () => save(shares), { className: 'main' }),
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
  const href = URL.createObjectURL(new Blob([JSON.stringify(copy, null, 2)], { type: 'application/json' }))
  el('a', { href, download: 'sleep-and-recovery-receipt.json' }).click()
  setTimeout(() => URL.revokeObjectURL(href), 10_000)
}
