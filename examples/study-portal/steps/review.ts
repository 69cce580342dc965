import type { DataClass, PatientRecord } from '@s4s/browser'
import { describe } from '../items.js'
import { chosen, type Portal, type Step } from '../portal.js'
import { button, countOf, el, heading } from '../view.js'
import { completenessWords, isGap, labelOf } from '../words.js'

export const reviewStep: Step = {
  name: 'review',
  label: 'Review',
  before: needsRecords('review'),
  render(portal) {
    const records = [...portal.records.values()]
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
  const lines = records.map((record) => {
    const row = record.completeness.find(({ dataClass }) => dataClass === name)
    const words = row ? completenessWords(row, record.provider.name) : 'Not asked for.'
    return el(
      'li',
      { className: row && isGap(row) ? 'gap' : '' },
      el('span', { className: 'place' }, record.provider.name),
      el('span', {}, words),
    )
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
    el('ul', { className: 'places' }, ...lines),
    ...records.filter((record) => record.count(name) > 0).map((record) => items(record, name)),
  )
}

const atATime = 50

/** The items themselves, made when someone looks. */
function items(record: PatientRecord, dataClass: string): HTMLElement {
  const list = el('ul', { className: 'items' })
  const details = el(
    'details',
    {},
    el('summary', {}, `Look at ${labelOf(dataClass)} from ${record.provider.name}`),
    list,
  )
  const all = record.resources(dataClass)[Symbol.iterator]()
  const showMore = (): void => {
    for (let shown = 0; shown < atATime; shown++) {
      const next = all.next()
      if (next.done) return
      const { title, value, date } = describe(next.value)
      list.append(
        el(
          'li',
          {},
          el('strong', {}, title),
          value && ` ${value}`,
          date && el('span', { className: 'hint' }, ` ${date}`),
        ),
      )
    }
    const more = button('Show more', () => {
      const last = list.lastElementChild
      more.remove()
      showMore()
      // The button is gone: reading goes on where it stood.
      const next = last?.nextElementSibling as HTMLElement | null
      if (next) Object.assign(next, { tabIndex: -1 }).focus()
    })
    more.className = 'quiet'
    details.append(more)
  }
  details.addEventListener('toggle', () => details.open && list.childElementCount === 0 && showMore(), {
    once: true,
  })
  return details
}
