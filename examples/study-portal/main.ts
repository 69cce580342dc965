import { type Connection, createBrowserClient } from '@s4s/browser'
import { settleCutOff } from './delivery.js'
import { openNotes } from './notes.js'
import { openStudy } from './open-study.js'
import type { Portal, StepName } from './portal.js'
import { steps } from './steps/index.js'
import { button, el, heading, notice } from './view.js'

const page = document.querySelector<HTMLElement>('#page') as HTMLElement

open().catch(cannotGoOn)

function cannotGoOn(): void {
  page.replaceChildren(
    heading('This page could not open'),
    notice(
      'Please try again',
      'The study’s server did not answer, or this browser is too old.',
      button('Open the page again', () => location.reload()),
    ),
  )
}

async function open(): Promise<void> {
  const { study, providers, deliver } = await openStudy()
  const smart = createBrowserClient({ redirectUri: `${location.origin}/`, providers, plan: study.plan })
  const problem = await smart.handleRedirect().then(
    () => undefined,
    (error: unknown) => error,
  )
  const notes = await openNotes()
  const portal: Portal = {
    study,
    smart,
    deliver,
    notes,
    records: new Map(),
    problem,
    cutOff: await settleCutOff(notes, deliver).catch(() => false),
    go: (step) => {
      if (location.hash === `#${step}`) void show(portal).catch(cannotGoOn)
      else location.hash = step
    },
  }
  if ((await smart.storage()) === 'memory') warnAboutMemory()
  const showAgain = (): void => void show(portal).catch(cannotGoOn)
  addEventListener('hashchange', showAgain)
  // Back from a hospital's sign-in page, to a page that still says it is leaving.
  addEventListener('pageshow', ({ persisted }) => persisted && showAgain())
  await show(portal)
}

let leave = new AbortController()

/** Shows the step that the address names, or the one that must come before it. */
async function show(portal: Portal): Promise<void> {
  leave.abort()
  leave = new AbortController()
  const { signal } = leave
  const [found] = await Promise.all([portal.smart.connections(), portal.notes.refresh()])
  if (signal.aborted) return
  const place = ({ provider }: Connection): number =>
    portal.smart.providers.findIndex(({ id }) => id === provider.id)
  const connections = found.sort((one, other) => place(one) - place(other))

  const named = steps.find(({ name }) => `#${name}` === location.hash) ?? firstStep(portal)
  const earlier = named.before?.(portal, connections)
  const step =
    steps.find(({ name }) => name === (portal.problem ? 'connect' : (earlier ?? named.name))) ?? named
  if (location.hash !== `#${step.name}`) history.replaceState(history.state, '', `#${step.name}`)

  showSteps(step.name)
  showWayOut(portal)
  page.replaceChildren(...step.render(portal, connections, signal))
  document.title = `${page.querySelector('h1')?.textContent} · ${portal.study.title}`
  // Reading begins at the heading, for the eye and for a screen reader; a message comes first.
  scrollTo(0, 0)
  page.querySelector<HTMLElement>('h1')?.focus()
}

// Somebody who has shared comes back to their receipt.
function firstStep({ notes }: Portal): (typeof steps)[number] {
  const { shares, withdrawal } = notes.read()
  const name: StepName = withdrawal ? 'withdraw' : shares.length > 0 ? 'receipt' : 'connect'
  return steps.find((step) => step.name === name) ?? steps[0]
}

function showSteps(current: StepName): void {
  const at = steps.findIndex(({ name }) => name === current)
  // To withdraw is always possible, and never the next thing to do.
  const items = steps
    .filter(({ name }) => name !== 'withdraw')
    .map(({ label }, index) =>
      el(
        'li',
        { className: index < at ? 'done' : '', ...(index === at ? { 'aria-current': 'step' } : {}) },
        el('span', {}, label),
        index < at && el('span', { className: 'unseen' }, ' (done)'),
      ),
    )
  document.querySelector('#steps')?.replaceChildren(...items)
}

function showWayOut({ notes }: Portal): void {
  const { shares, withdrawal } = notes.read()
  const link = el('a', { href: '#withdraw' }, 'Withdraw from the study')
  document.querySelector('#leave')?.replaceChildren(...(shares.length > 0 && !withdrawal ? [link] : []))
}

function warnAboutMemory(): void {
  document
    .querySelector('#keeps')
    ?.append(
      'This browser does not let us keep anything: connect one place only, and finish without closing the page.',
    )
}
