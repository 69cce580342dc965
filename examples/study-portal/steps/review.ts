import type { DataClass, PatientRecord } from '@s4s/browser'
import { dayOf, describe } from '../items.js'
import { chosen, type Portal, recordsOf, type Step } from '../portal.js'
import { button, countOf, el, heading } from '../view.js'
import { completenessWords, isGap, labelOf } from '../words.js'

export const reviewStep: Step = {
  name: 'review',
  label: 'Review',
  before: needsRecords('review'),
  render(portal) {
    const records = recordsOf(portal)
    const tally = el('p', { className: 'hint', role: 'status' })
    const showTally = (): void => {
      const count = chosen(portal).length
      tally.textContent = `${countOf(count, 'kind')} of ${portal.study.plan.classes.length} ticked`
    }
    showTally()
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
        ...portal.study.plan.classes.map((row) => classItem(portal, row, records, showTally)),
      ),
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

function classItem(
  portal: Portal,
  { name, says }: DataClass,
  records: readonly PatientRecord[],
  onChange: () => void,
): HTMLElement {
  const box = el('input', { type: 'checkbox', checked: chosen(portal).includes(name), id: `class ${name}` })
  box.addEventListener('change', async () => {
    const { checked } = box
    await portal.notes.update((notes) => {
      const others = notes.leftOut.filter((other) => other !== name)
      return { ...notes, leftOut: checked ? others : [...others, name] }
    })
    onChange()
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
    el('ul', { className: 'places' }, ...records.map((record) => placeItem(record, name))),
  )
}

/** What one place sent; where there is something, it opens to show it. */
function placeItem(record: PatientRecord, dataClass: string): HTMLElement {
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
  details.addEventListener('toggle', () => fill(list, record, dataClass), { once: true })
  return el('li', {}, details)
}

const atATime = 50

/** Lists the items, the latest first, some at a time. */
function fill(list: HTMLElement, record: PatientRecord, dataClass: string): void {
  const items = Array.from(record.resources(dataClass), describe).sort((one, other) =>
    (other.date ?? '').localeCompare(one.date ?? ''),
  )
  const showMore = (): HTMLElement | undefined => {
    const rows = items
      .splice(0, atATime)
      .map(({ title, value, date }) =>
        el(
          'li',
          { tabIndex: -1 },
          el('strong', {}, title),
          value && ` ${value}`,
          date && el('span', { className: 'hint' }, ` ${dayOf(date)}`),
        ),
      )
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
