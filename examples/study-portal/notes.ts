import {
  browserLock,
  browserStore,
  type ConsentRecord,
  readShare,
  type Share,
  type Withdrawal,
} from '@s4s/browser'

/**
 * What the portal remembers in this browser, sealed. Never the record itself: after a reload it is collected anew,
 * so that nobody finds it here.
 */
export interface Notes {
  /** The study's name for the participant. A real portal has it from its own sign-in. */
  readonly participant: string
  /** Data classes that the participant does not want to share. */
  readonly leftOut: readonly string[]
  /** How many years back the participant shares; all of them when it is not said. */
  readonly years?: number
  /** Sensitive categories that they withhold. */
  readonly withhold: readonly string[]
  /** Single items that they leave out, by key. */
  readonly items: readonly string[]
  readonly shares: readonly Share[]
  /** A delivery that had begun and of which no receipt has come yet. */
  readonly begun?: { readonly digest: string; readonly consent: ConsentRecord }
  /** How the withdrawal stands, once there is one. */
  readonly withdrawal?: Withdrawal
}

export interface Notebook {
  /** The notes as this tab last saw them. */
  read(): Notes
  /** Reads what another tab may have written. */
  refresh(): Promise<void>
  update(change: (notes: Notes) => Notes): Promise<void>
  clear(): Promise<void>
}

export async function openNotes(): Promise<Notebook> {
  const store = browserStore({ name: 'study-portal' })
  // Tabs take turns: none may write over a share that another has just noted.
  const lock = browserLock()
  let notes: Notes
  const load = async (): Promise<void> => {
    notes = parse(await store.get('notes'))
  }
  const update: Notebook['update'] = (change) =>
    lock('study-portal/notes', async () => {
      await load()
      notes = change(notes)
      await store.set('notes', JSON.stringify(notes))
    })
  await update((kept) => kept)
  return { read: () => notes, refresh: load, update, clear: () => store.clear() }
}

function parse(text: string | undefined): Notes {
  const kept: Partial<Notes> = text === undefined ? {} : JSON.parse(text)
  return {
    leftOut: [],
    withhold: [],
    items: [],
    ...kept,
    participant: kept.participant ?? `p-${crypto.randomUUID().slice(0, 8)}`,
    shares: (kept.shares ?? []).map(readShare),
  }
}
