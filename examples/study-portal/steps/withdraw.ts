import { type Connection, type Withdrawal, withdraw } from '@s4s/browser'
import { forgetRecords, type Portal, type Step } from '../portal.js'
import { button, dateOf, el, heading, listOf } from '../view.js'

export const withdrawStep: Step = {
  name: 'withdraw',
  label: 'Withdraw',
  before: ({ notes }) => (notes.read().shares.length > 0 ? undefined : 'connect'),
  render(portal, connections) {
    const { withdrawal } = portal.notes.read()
    return withdrawal ? afterwards(portal, withdrawal) : question(portal, connections)
  },
}

function question(portal: Portal, connections: readonly Connection[]): Node[] {
  const { study } = portal
  const places = listOf([...new Set(connections.map(({ provider }) => provider.name))])
  const status = el('p', { className: 'hint', role: 'status' })
  const sure: HTMLDialogElement = el(
    'dialog',
    { 'aria-labelledby': 'sure' },
    el('h2', { id: 'sure' }, 'Withdraw from the study?'),
    el('p', {}, 'This cannot be undone. You can join again later if you like.'),
    el(
      'p',
      { className: 'actions' },
      button('No, go back', () => sure.close(), { autofocus: true }),
      button('Yes, withdraw', () => run(portal, connections, sure, status), { className: 'main' }),
    ),
    status,
  )
  return [
    heading('You can change your mind'),
    el(
      'p',
      { className: 'lead' },
      'You may withdraw at any time. You do not have to say why. If you do, this happens:',
    ),
    el(
      'ul',
      { className: 'plain' },
      el(
        'li',
        {},
        places === ''
          ? 'No place is connected any more.'
          : `We tell ${places} to end our access to your record.`,
      ),
      el(
        'li',
        {},
        `We tell the study to delete what you shared. ${study.sponsor} cannot take back results that it has already worked out.`,
      ),
      el('li', {}, 'We delete what is left in this browser, but keep your receipt for you.'),
    ),
    el(
      'p',
      { className: 'actions' },
      button('Withdraw …', () => sure.showModal(), { className: 'main' }),
      button('Back to the receipt', () => portal.go('receipt'), { className: 'quiet' }),
    ),
    sure,
  ]
}

async function run(
  portal: Portal,
  connections: readonly Connection[],
  dialog: HTMLDialogElement,
  status: HTMLElement,
): Promise<void> {
  status.textContent = 'Withdrawing. This can take a moment.'
  await withdrawAll(portal, connections)
  dialog.close()
  portal.go('withdraw')
}

/** Withdraws every share; access ends once. What came of it is kept, so that it can be seen and finished later. */
async function withdrawAll(portal: Portal, connections: readonly Connection[]): Promise<void> {
  const { deliver, notes, records } = portal
  const { shares, withdrawal: earlier } = notes.read()
  const parts: Withdrawal[] = []
  for (const [index, share] of shares.entries()) {
    const first = index === 0
    parts.push(
      await withdraw(share, {
        deliver,
        connections: first ? connections : [],
        records: first ? [...records.values()] : [],
      }),
    )
  }
  forgetRecords(portal)
  const [head] = parts
  if (!head) return
  const study = parts.find((part) => part.study.status === 'failed')?.study ?? head.study
  const access = [...(earlier?.access ?? []), ...head.access]
  const complete = parts.every((part) => part.complete) && access.every(({ server }) => server === 'revoked')
  await notes.update((before) => ({ ...before, withdrawal: { access, study, local: head.local, complete } }))
}

function afterwards(portal: Portal, withdrawal: Withdrawal): Node[] {
  const { complete, study } = withdrawal
  return [
    heading(complete ? 'You have withdrawn' : 'You have withdrawn, but not everything could be done'),
    el(
      'p',
      { className: 'lead' },
      complete
        ? 'Everything was done. This is what happened:'
        : 'This is what was done, and what is left to do:',
    ),
    el(
      'ul',
      { className: 'outcomes' },
      ...accessRows(withdrawal),
      studyRow(withdrawal),
      localRow(withdrawal),
    ),
    el(
      'p',
      { className: 'actions' },
      study.status === 'failed' &&
        button(
          'Tell the study again',
          async () => {
            await withdrawAll(portal, await portal.smart.connections())
            portal.go('withdraw')
          },
          { className: 'main' },
        ),
      button('See the receipt', () => portal.go('receipt'), { className: 'quiet' }),
      study.status === 'acknowledged' &&
        button('Forget everything and start over', () => startOver(portal), { className: 'quiet' }),
    ),
  ]
}

function accessRows({ access }: Withdrawal): HTMLElement[] {
  return access.map(({ provider: { name }, server, manageUrl }) => {
    if (server === 'revoked') return outcome(true, name, 'ended our access to your record.')
    const why =
      server === 'not-offered'
        ? 'has no way for us to end access.'
        : 'did not answer when we asked it to end our access.'
    const again = server === 'queued' ? ' It is asked again when you next connect here.' : ''
    const link =
      manageUrl !== undefined && el('a', { href: manageUrl, rel: 'noreferrer' }, `End it at ${name}`)
    return outcome(
      false,
      name,
      `${why}${again} We deleted our key to your record, so this page can no longer read it. To end access there too, sign in at ${name}.`,
      link,
    )
  })
}

function studyRow({ study }: Withdrawal): HTMLElement {
  if (study.status === 'failed')
    return outcome(false, 'The study', 'did not answer. It may still hold what you shared. Please try again.')
  const when = study.receipt ? `${dateOf(study.receipt.at)}, number ${study.receipt.id}` : ''
  return study.deleted
    ? outcome(true, 'The study', `deleted what you shared. ${when}`)
    : outcome(false, 'The study', `will take nothing more, but has not deleted what it holds. ${when}`)
}

function localRow({ local }: Withdrawal): HTMLElement {
  return local.status === 'wiped'
    ? outcome(true, 'This browser', 'holds nothing of your record any more, only your receipt.')
    : outcome(
        false,
        'This browser',
        'could not delete everything. Clear the data of this site in your browser’s settings.',
      )
}

function outcome(good: boolean, who: string, what: string, link?: Node | false): HTMLElement {
  return el('li', { className: good ? 'done' : 'gap' }, el('strong', {}, who), ` ${what} `, link)
}

async function startOver({ smart, notes }: Portal): Promise<void> {
  await smart.forget()
  await notes.clear()
  history.replaceState(null, '', '/')
  location.reload()
}
