import { type ConsentRecord, createPackage, type PatientRecord, recordConsent, review } from '@s4s/browser'
import { zipOf } from '@s4s/core/zip'
import { settleCutOff, shareAndNote } from '../delivery.js'
import { choicesOf, chosen, forgetRecords, type Portal, recordsOf, type Step } from '../portal.js'
import { announce, button, countOf, el, heading, listOf, notice } from '../view.js'
import { labelOf, problemWords, withheldWords } from '../words.js'
import { needsRecords } from './review.js'

export const shareStep: Step = {
  name: 'share',
  label: 'Share',
  before: (portal, connections) =>
    needsRecords('share')(portal, connections) ?? (chosen(portal).length > 0 ? undefined : 'review'),
  render(portal, _, signal) {
    const { study, notes, deliver } = portal
    const classes = chosen(portal)
    const name = el('input', {
      type: 'text',
      id: 'signature',
      autocomplete: 'name',
      maxLength: 200,
      required: true,
    })
    const fault = el('p', { className: 'fault', id: 'fault', role: 'alert' })
    const progress = el('div', { className: 'progress' })
    // The same signature is the same consent, so that a second try sends the same package, which arrives once.
    const given = new Map<string, ConsentRecord>()
    const consentOf = async (signature: string): Promise<ConsentRecord> => {
      const before = given.get(signature)
      if (before) return before
      await settleCutOff(notes, deliver)
      const { participant } = notes.read()
      const consent = recordConsent(study, { participant, signature, ...choicesOf(portal) })
      given.set(signature, consent)
      return consent
    }
    const send = async (event: Event): Promise<void> => {
      event.preventDefault()
      if (form.ariaBusy === 'true') return
      const signature = name.value.trim()
      fault.textContent = signature === '' ? 'Please type your full name to sign.' : ''
      name.setAttribute('aria-invalid', String(signature === ''))
      if (signature === '') return name.focus()
      form.ariaBusy = 'true'
      await agreeAndShare(portal, () => consentOf(signature), progress, signal)
      form.ariaBusy = null
    }
    const form = el(
      'form',
      { noValidate: true, className: 'panel' },
      el('label', { htmlFor: 'signature' }, 'Your full name, as a signature'),
      name,
      fault,
      el(
        'p',
        { className: 'actions' },
        el('button', { className: 'main' }, 'I agree: share now'),
        button('Back', () => portal.go('review'), { className: 'quiet' }),
      ),
      progress,
    )
    name.setAttribute('aria-describedby', 'fault')
    form.addEventListener('submit', send)
    return [
      heading('Do you agree?'),
      ...cutOffNotice(portal),
      el('p', { className: 'lead' }, `Please read this. It is between you and ${study.sponsor}.`),
      el(
        'section',
        { className: 'consent', 'aria-label': 'Consent' },
        ...study.consent.text.split('\n\n').map(paragraph),
      ),
      el('h2', {}, 'What you share'),
      ...summary(portal, classes),
      form,
    ]
  },
}

/** What was shared, to keep; none when it cannot be made, which is no reason to say that sharing did not work. */
async function copyOf(
  { study }: Portal,
  records: readonly PatientRecord[],
  consent: ConsentRecord,
  leaveOut: readonly string[],
): Promise<Blob | undefined> {
  try {
    return await new Response(zipOf(await createPackage(records, { study, consent, leaveOut }))).blob()
  } catch {
    return undefined
  }
}

async function agreeAndShare(
  portal: Portal,
  consentOf: () => Promise<ConsentRecord>,
  progress: HTMLElement,
  signal: AbortSignal,
): Promise<void> {
  const bar = el('progress', { 'aria-label': 'Sharing' })
  const text = el('p', { className: 'hint' }, 'Preparing …')
  progress.replaceChildren(bar, text)
  announce('Sharing your record.')
  try {
    const [records, consent, leaveOut] = [recordsOf(portal), await consentOf(), portal.notes.read().items]
    await shareAndNote(portal, records, {
      consent,
      leaveOut,
      signal,
      onProgress: ({ done, total }) => {
        Object.assign(bar, { max: total, value: done })
        text.textContent = `${done} of ${total} files have arrived`
      },
    })
    portal.copy = await copyOf(portal, records, consent, leaveOut)
    // The study has it; there is no reason to hold it any longer.
    forgetRecords(portal)
    announce('Shared.')
    portal.go('receipt')
  } catch (error) {
    if (signal.aborted) return
    const { title, text: words } = problemWords(error, 'the study')
    progress.replaceChildren(notice(title, words))
  }
}

// The first sentence says what the paragraph is about.
function paragraph(text: string): HTMLElement {
  const [first = ''] = text.split(/(?<=\.) /, 1)
  const rest = text.slice(first.length)
  return rest === '' ? el('p', {}, text) : el('p', {}, el('strong', {}, first), rest)
}

function cutOffNotice(portal: Portal): Node[] {
  if (!portal.cutOff) return []
  portal.cutOff = false
  return [
    notice(
      'Sharing was cut off',
      'The study was asked to drop what it got, so nothing is shared yet. You can share again.',
    ),
  ]
}

function summary(portal: Portal, classes: readonly string[]): Node[] {
  const { study, notes } = portal
  const reviewed = review(recordsOf(portal), {
    study,
    choices: choicesOf(portal),
    leaveOut: notes.read().items,
  })
  const places = reviewed.map(({ provider, items }) => {
    let count = 0
    for (const { withheld } of items()) if (withheld === undefined) count++
    return el('li', {}, `${countOf(count, 'item')} from ${provider.name}`)
  })
  const left = study.plan.classes.map(({ name }) => name).filter((name) => !classes.includes(name))
  const items = reviewed.flatMap((one) => [...one.items()])
  const files = reviewed.flatMap((one) => one.withheld).filter(({ reason }) => reason === 'unreadable')
  // What is of a kind that was left out is named above.
  const withheld = withheldWords([
    ...items.flatMap(({ withheld: reason }) =>
      reason && reason !== 'not-agreed' ? [{ reason, count: 1 }] : [],
    ),
    ...files,
  ])
  return [
    el('ul', {}, ...places, el('li', {}, `These kinds: ${listOf(classes.map(labelOf))}`)),
    el(
      'p',
      {},
      left.length === 0 ? 'You leave no kind out.' : `You leave out: ${listOf(left.map(labelOf))}.`,
    ),
    ...(withheld.length === 0
      ? []
      : [el('p', {}, 'These stay with you:'), el('ul', {}, ...withheld.map((words) => el('li', {}, words)))]),
  ]
}
