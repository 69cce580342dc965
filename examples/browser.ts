import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
]

/** The Chromium of this machine: the one that `CHROMIUM_PATH` names, or where it usually is. */
export function chromiumPath(): string | undefined {
  const named = process.env.CHROMIUM_PATH
  return named ? named : places.find((path) => existsSync(path))
}

/** Why the tests in a real browser do not run here; undefined when they do. */
export const noChromium: string | undefined =
  chromiumPath() === undefined ? 'no Chromium here: install it, or name one in CHROMIUM_PATH' : undefined

/** Starts Chromium without a window, kept from every network service of its own. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = chromiumPath()
  if (executablePath === undefined) throw new Error(noChromium)
  return chromium.launch({
    executablePath,
    args: [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
