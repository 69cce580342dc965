import { type FileStore, fileStore, type Provider } from '@s4s/node'

const { env } = process

/** Where participants find the portal; its sign-in pages are below `/smart`. */
export const origin: string = env.ORIGIN ?? 'http://127.0.0.1:8080'
export const baseUrl: string = `${origin}/smart`
export const port: number = Number(env.PORT ?? new URL(origin).port)

/** The hospitals that the portal is registered with, as JSON. */
export const providers: readonly Provider[] = JSON.parse(needed('PROVIDERS'))

/** The study's inbox, and the key with which this portal delivers to it. */
export const inbox: { readonly url: string; readonly key: string } = {
  url: needed('INBOX_URL'),
  key: needed('INBOX_KEY'),
}

/** Connections, encrypted, one file each. */
export const store: FileStore = fileStore(env.STORE ?? './connections', { key: needed('STORE_KEY') })
export const cookieSecret: string = needed('COOKIE_SECRET')

function needed(name: string): string {
  const value = env[name]
  if (!value) throw new Error(`${name} is not set; see README.md`)
  return value
}
