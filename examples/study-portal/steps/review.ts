import {
  type DataClass,
  itemKey,
  type PatientRecord,
  review,
  sensitiveCategories,
  type WithheldReason,
} from '@s4s/browser'
import { dayOf, describe, type Item } from '../items.js'
import type { Notes } from '../notes.js'
import { choicesOf, chosen, type Portal, recordsOf, type Step } from '../portal.js'
import { button, countOf, el, heading } from '../view.js'
import { completenessWords, isGap, labelOf, reasonWords } from '../words.js'

export const reviewStep: Step = {
  name: 'review',
  label: 'Review',
  before: needsRecords('review'),
  render(portal) {
    const records = recordsOf(portal)
    const tally = el('p', { className: 'hint', role: 'status' })
    const shown: Shown = { reasons: new Map(), rows: new Set() }
    const showTally = (): void => {
      const count = chosen(portal).length
      shown.reasons = reasonsOf(portal)
      for (const mark of shown.rows) mark()
      const kept = [...shown.reasons.values()].filter((reason) => reason !== 'not-agreed').length
      tally.textContent = `${countOf(count, 'kind')} of ${portal.study.plan.classes.length} ticked${kept === 0 ? '' : `, ${countOf(kept, 'item')} of them left out`}`
    }
    showTally()
    const change = async (next: (notes: Notes) => Notes): Promise<void> => {
      await portal.notes.update(next)
      showTally()
    }
    return [
      heading('This is what was found'),
      el(
        'p',
        { className: 'lead' },
        'Look through it, and untick what you do not want to share. Only what is ticked goes to the study.',
      ),
      el(
        'ul',
        { className: 'review' },
        ...portal.study.plan.classes.map((row) => classItem(portal, row, records, shown, change)),
      ),
      ...closerChoices(portal, change),
      tally,
      el(
        'p',
        { className: 'actions' },
        button('Continue', () => (chosen(portal).length > 0 ? portal.go('share') : tellNothing(tally)), {
          className: 'main',
        }),
        button('Collect again', () => portal.go('collect'), { className: 'quiet' }),
      ),
    ]
  },
}

/** After a reload there are no records: they are collected anew, and then the step goes on. */
export function needsRecords(step: 'review' | 'share'): NonNullable<Step['before']> {
  return (portal) => {
    if (portal.records.size > 0) return undefined
    portal.resume = step
    return 'collect'
  }
}

function tellNothing(tally: HTMLElement): void {
  tally.textContent = 'Tick at least one kind of information to go on.'
}

type Change = (next: (notes: Notes) => Notes) => Promise<void>

/** What the page shows of single items: why each that is left out is, and how to show it anew. */
interface Shown {
  reasons: ReadonlyMap<string, WithheldReason>
  readonly rows: Set<() => void>
}

function reasonsOf(portal: Portal): Map<string, WithheldReason> {
  const { study, notes } = portal
  const reviewed = review(recordsOf(portal), {
    study,
    choices: reviewable(portal),
    leaveOut: notes.read().items,
  })
  const found = new Map<string, WithheldReason>()
  for (const { items } of reviewed)
    for (const { key, withheld } of items()) if (withheld) found.set(key, withheld)
  return found
}

// With no kind ticked there is nothing to choose; the page says so when they want to go on.
function reviewable(portal: Portal): ReturnType<typeof choicesOf> {
  const { dataClasses, ...rest } = choicesOf(portal)
  return dataClasses?.length ? { dataClasses, ...rest } : rest
}

/** How far back, and what not at all. */
function closerChoices({ notes }: Portal, change: Change): Node[] {
  const { years, withhold } = notes.read()
  const spans = [undefined, 1, 5, 10] as const
  const select = el(
    'select',
    { id: 'years' },
    ...spans.map((span) =>
      el(
        'option',
        { value: span ?? '', selected: span === years },
        span === undefined ? 'Everything there is' : `The last ${span === 1 ? 'year' : `${span} years`}`,
      ),
    ),
  )
  select.addEventListener('change', () => {
    void change(({ years: _, ...rest }) =>
      select.value === '' ? rest : { ...rest, years: Number(select.value) },
    )
  })
  const boxes = sensitiveCategories.map(({ id, says }) => {
    const box = el('input', { type: 'checkbox', id: `withhold ${id}`, checked: withhold.includes(id) })
    box.addEventListener('change', () => {
      void change((before) => {
        const others = before.withhold.filter((one) => one !== id)
        return { ...before, withhold: box.checked ? [...others, id] : others }
      })
    })
    return el('li', {}, box, ' ', el('label', { htmlFor: box.id }, says))
  })
  return [
    el('h2', {}, 'How far back?'),
    el('p', {}, el('label', { htmlFor: 'years' }, 'Share '), select),
    el(
      'fieldset',
      { className: 'withhold' },
      el('legend', {}, 'Keep to yourself what is about'),
      el(
        'p',
        { className: 'hint' },
        'We look for it by its medical codes and words, and leave out files, which we cannot look into. The study sees what you ticked here, as part of your consent. It is not told how much there was, or whether there was any.',
      ),
      el('ul', { className: 'plain' }, ...boxes),
    ),
  ]
}

function classItem(
  portal: Portal,
  { name, says }: DataClass,
  records: readonly PatientRecord[],
  shown: Shown,
  change: Change,
): HTMLElement {
  const box = el('input', { type: 'checkbox', checked: chosen(portal).includes(name), id: `class ${name}` })
  box.addEventListener('change', () => {
    const { checked } = box
    void change((notes) => {
      const others = notes.leftOut.filter((other) => other !== name)
      return { ...notes, leftOut: checked ? others : [...others, name] }
    })
  })
  return el(
    'li',
    {},
    el(
      'div',
      { className: 'choice' },
      box,
      el(
        'label',
        { htmlFor: box.id },
        el('strong', {}, labelOf(name)),
        el('span', { className: 'hint' }, says),
      ),
    ),
    el('ul', { className: 'places' }, ...records.map((record) => placeItem(record, name, shown, change))),
  )
}

/** What one place sent; where there is something, it opens to show it. */
function placeItem(record: PatientRecord, dataClass: string, shown: Shown, change: Change): HTMLElement {
  const { provider, completeness } = record
  const row = completeness.find((one) => one.dataClass === dataClass)
  const line = [
    el('span', { className: 'place' }, provider.name),
    ' ',
    el(
      'span',
      { className: row && isGap(row) ? 'gap' : '' },
      row ? completenessWords(row, provider.name) : 'Not asked for.',
    ),
  ]
  if (record.count(dataClass) === 0) return el('li', { className: 'line' }, ...line)
  const list = el('ul', { className: 'items' })
  const details = el('details', {}, el('summary', {}, el('span', { className: 'line' }, ...line)), list)
  // Made when someone looks.
  details.addEventListener('toggle', () => fill(list, record, dataClass, shown, change), { once: true })
  return el('li', {}, details)
}

const atATime = 50

/** Lists the items, the latest first, some at a time. */
function fill(
  list: HTMLElement,
  record: PatientRecord,
  dataClass: string,
  shown: Shown,
  change: Change,
): void {
  const items = Array.from(record.resources(dataClass), (resource) => ({
    ...describe(resource),
    key: itemKey(record, resource),
  })).sort((one, other) => (other.date ?? '').localeCompare(one.date ?? ''))
  const showMore = (): HTMLElement | undefined => {
    const rows = items.splice(0, atATime).map((item) => itemRow(item, shown, change))
    list.append(...rows)
    return rows[0]
  }
  showMore()
  if (items.length === 0) return
  const more = button(
    'Show more',
    () => {
      // Reading goes on where it stopped.
      showMore()?.focus()
      if (items.length === 0) more.remove()
    },
    { className: 'quiet' },
  )
  list.after(more)
}

/** One item, which can be left out and taken back in. */
function itemRow(
  { title, value, date, key }: Item & { readonly key: string },
  shown: Shown,
  change: Change,
): HTMLElement {
  const why = el('span', { className: 'hint' })
  const toggle = button(
    '',
    () =>
      change((notes) => {
        const others = notes.items.filter((one) => one !== key)
        return { ...notes, items: others.length < notes.items.length ? others : [...others, key] }
      }),
    { className: 'quiet small' },
  )
  const row = el(
    'li',
    { tabIndex: -1 },
    el('strong', {}, title),
    value && ` ${value}`,
    date && el('span', { className: 'hint' }, ` ${dayOf(date)}`),
    ' ',
    why,
    ' ',
    toggle,
  )
  const mark = (): void => {
    const reason = shown.reasons.get(key)
    row.className = reason === undefined ? '' : 'kept'
    why.textContent = reason === undefined ? '' : `(stays with you: an item ${reasonWords(reason)})`
    toggle.hidden = reason !== undefined && reason !== 'left-out'
    toggle.textContent = reason === 'left-out' ? 'Share it after all' : 'Leave out'
    toggle.setAttribute('aria-label', `${toggle.textContent}: ${title}`)
  }
  mark()
  shown.rows.add(mark)
  return row
}
