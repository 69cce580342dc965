import { IDBFactory } from 'fake-indexeddb'
import 'fake-indexeddb/auto'
import { afterEach, beforeEach, vi } from 'vitest'

/** Where the page under test lives. */
export const origin: string = 'http://localhost:3000'

/** Gives each test a browser that has kept nothing, and Web Locks, which the test environment lacks. */
export function freshBrowser(): void {
  beforeEach(() => {
    vi.stubGlobal('indexedDB', new IDBFactory())
    Object.defineProperty(navigator, 'locks', { value: lockManager(), configurable: true, writable: true })
    sessionStorage.clear()
    visit('/')
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
  })
}

/** Puts an address into the address bar, as if the browser had gone there. */
export function visit(address: string): void {
  history.replaceState(null, '', new URL(address, origin).href)
}

/** Watches where the page sends the browser, and stays. */
export function watchNavigation(): { readonly last: () => string } {
  const gone: string[] = []
  const go = (url: string | URL): void => void gone.push(String(url))
  vi.spyOn(location, 'assign').mockImplementation(go)
  vi.spyOn(location, 'replace').mockImplementation(go)
  return {
    last: () => {
      const url = gone.at(-1)
      if (url === undefined) throw new Error('the page went nowhere')
      return url
    },
  }
}

/** Everything in this browser's storage that is text or bytes, as one string to look for secrets in. */
export async function dumpStorage(): Promise<string> {
  const found: string[] = [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage })]
  for (const { name = '' } of await indexedDB.databases()) {
    const database = await asked(indexedDB.open(name))
    for (const store of database.objectStoreNames) {
      const records = database.transaction(store).objectStore(store)
      for (const value of await asked(records.getAll())) found.push(textOf(value))
    }
    database.close()
  }
  return found.join('\n')
}

function textOf(value: unknown): string {
  if (ArrayBuffer.isView(value)) return new TextDecoder().decode(value)
  if (Object.prototype.toString.call(value) === '[object ArrayBuffer]')
    return new TextDecoder().decode(value as ArrayBuffer)
  if (typeof value === 'object' && value !== null) return Object.values(value).map(textOf).join(' ')
  return String(value)
}

/** The outcome of an IndexedDB request. */
export function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Web Locks, as far as exclusive locks of one page go. */
export function lockManager(): Pick<LockManager, 'request'> & { readonly names: string[] } {
  const tails = new Map<string, Promise<unknown>>()
  const names: string[] = []
  const request = (name: string, work: () => Promise<unknown>): Promise<unknown> => {
    names.push(name)
    const mine = (tails.get(name) ?? Promise.resolve()).then(work)
    tails.set(
      name,
      mine.catch(() => {}),
    )
    return mine
  }
  return { request: request as LockManager['request'], names }
}
