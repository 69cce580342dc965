// What a test page has: the package, and the clients that the test makes of it.
import * as all from '../src/index.js'

declare global {
  var s4s: typeof import('../src/index.js')
  var smart: all.BrowserClient
  var result: unknown
}

interface Config {
  readonly providers: readonly all.Provider[]
  readonly options?: Partial<all.BrowserClientOptions>
  readonly memory?: boolean
}

const config = (await (await fetch('/config.json')).json()) as Config
globalThis.s4s = all
globalThis.smart = all.createBrowserClient({
  redirectUri: `${location.origin}/`,
  providers: config.providers,
  plan: all.usCore.only('Patient'),
  ...config.options,
})
const told = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    (connection) => (connection ? `connected ${(connection as all.Connection).patient}` : 'nothing'),
    (error: all.SmartError) => error.code ?? String(error),
  )
// Twice at once, as frameworks that mount twice do.
const both = await Promise.all([told(smart.handleRedirect()), told(smart.handleRedirect())])
document.getElementById('status')?.append(both.join(' and '))
document.getElementById('connect')?.addEventListener('click', () => {
  void told(smart.connect('mercy')).then((outcome) => show(outcome))
})
document.getElementById('popup')?.addEventListener('click', () => {
  void told(smart.connectInPopup('mercy')).then((outcome) => show(outcome))
})
function show(outcome: unknown): void {
  document.getElementById('outcome')?.append(String(outcome))
}
document.body.dataset.ready = 'yes'
