import { type Connection, collect, isSmartError, type PatientRecord, type Plan } from '@s4s/browser'
import type { Portal, Step } from '../portal.js'
import { announce, button, countOf, el, heading, listOf, notice } from '../view.js'
import { completenessWords, isGap, labelOf, problemWords } from '../words.js'

export const collectStep: Step = {
  name: 'collect',
  label: 'Collect',
  before: (_, connections) => (connections.some(isActive) ? undefined : 'connect'),
  render(portal, connections, signal) {
    const active = connections.filter(isActive)
    const panels = active.map((connection) => panel(connection, portal.study.plan))
    const names = listOf(active.map(({ provider }) => provider.name))
    const lead = el(
      'p',
      { className: 'lead' },
      `We are asking ${names} for your record. It stays in this browser.`,
    )
    const outcome = el('div', {})
    void collectAll(portal, active, panels, signal).then((failures) => {
      if (signal.aborted) return
      if (failures.length === 0 && portal.resume) {
        const step = portal.resume
        delete portal.resume
        return portal.go(step)
      }
      if (failures.length < active.length) lead.textContent = 'Done. Nothing has left this browser yet.'
      outcome.replaceChildren(...closing(portal, failures))
    })
    return [heading('Collecting your record'), lead, ...panels.map(({ element }) => element), outcome]
  },
}

interface Failure {
  readonly connection: Connection
  readonly error: unknown
}

/** All places side by side; one that fails does not stop the others. */
async function collectAll(
  portal: Portal,
  connections: readonly Connection[],
  panels: readonly Panel[],
  signal: AbortSignal,
): Promise<Failure[]> {
  const { records, study } = portal
  const results = await Promise.all(
    connections.map(async (connection, index): Promise<Failure | undefined> => {
      const shown = panels[index] as Panel
      try {
        const record = await collect(connection, {
          plan: study.plan,
          signal,
          onProgress: ({ done, total, resources, dataClass }) =>
            shown.update(done, total, resources, dataClass),
        })
        records.get(connection.id)?.wipe()
        records.set(connection.id, record)
        shown.finish(record)
        return undefined
      } catch (error) {
        if (!signal.aborted) shown.fail(problemWords(error, connection.provider.name).text)
        return { connection, error }
      }
    }),
  )
  return results.filter((failure) => failure !== undefined)
}

function closing(portal: Portal, failures: readonly Failure[]): Node[] {
  const records = [...portal.records.values()]
  const found = records.reduce((sum, record) => sum + record.count(), 0)
  const failed = failures.map(({ connection }) => connection.provider.name)
  announce(
    `Done. We found ${countOf(found, 'item')}.${failed.length > 0 ? ` ${listOf(failed)} failed.` : ''}`,
  )
  const ended = failures.some(({ error }) => isSmartError(error) && error.remedy === 'reconnect')
  return [
    ...(failures.length > 0
      ? [
          notice(
            'Not everything worked',
            `We could not collect from ${listOf(failed)}. You can try again, or go on without it.`,
            button('Try again', () => portal.go('collect')),
            ended && button('Connect again', () => portal.go('connect')),
          ),
        ]
      : []),
    el(
      'p',
      { className: 'actions' },
      records.length > 0 && button('See what was found', () => portal.go('review'), { className: 'main' }),
      button('Back', () => portal.go('connect'), { className: 'quiet' }),
    ),
  ]
}

interface Panel {
  readonly element: HTMLElement
  update(done: number, total: number, resources: number, dataClass: string): void
  finish(record: PatientRecord): void
  fail(text: string): void
}

function panel({ provider }: Connection, plan: Plan): Panel {
  const bar = el('progress', { 'aria-label': `Progress at ${provider.name}` })
  const count = el('p', { className: 'hint' }, 'Asking …')
  const rows = new Map(
    plan.classes.map(({ name }) => [name as string, el('li', {}, el('div', {}, labelOf(name)))]),
  )
  const element = el(
    'section',
    { className: 'panel', 'aria-label': provider.name },
    el('h2', {}, provider.name),
    bar,
    count,
    el('ul', { className: 'classes' }, ...rows.values()),
  )
  return {
    element,
    update(done, total, resources, dataClass) {
      Object.assign(bar, { max: total, value: done })
      count.textContent = `${countOf(resources, 'item')} so far`
      rows.get(dataClass)?.classList.add('begun')
    },
    finish(record) {
      Object.assign(bar, { max: 1, value: 1 })
      count.textContent = `${countOf(record.count(), 'item')} from ${provider.name}`
      for (const row of record.completeness) {
        const shown = rows.get(row.dataClass)
        shown?.classList.add(isGap(row) ? 'gap' : 'done')
        shown?.firstElementChild?.append(
          ' ',
          el('span', { className: 'hint' }, completenessWords(row, provider.name)),
        )
      }
    },
    fail(text) {
      bar.hidden = true
      count.textContent = text
      element.classList.add('gap')
    },
  }
}

const isActive = ({ status }: Connection): boolean => status === 'active'
