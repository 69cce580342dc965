import { base64 } from '../util/bytes.js'
import { sha256Now } from '../util/sha256.js'
import type { ConsentDocument } from './consent.js'
import type { Period } from './dated.js'
import { sensitiveCategories } from './sensitive.js'
import type { Study } from './study.js'

/** The words of a consent's page; every value but these is the consent's or the study's own. */
export interface ConsentWords {
  readonly title: string
  readonly study: string
  readonly purpose: string
  readonly sponsor: string
  readonly board: string
  readonly contact: string
  readonly moreAt: string
  readonly participant: string
  readonly givenBy: string
  readonly signature: string
  readonly givenAt: string
  readonly expiresAt: string
  readonly noEnd: string
  readonly sharing: string
  readonly once: string
  readonly ongoing: string
  readonly shared: string
  readonly withheld: string
  readonly dated: string
  readonly from: string
  readonly to: string
  readonly about: string
  readonly recipients: string
  readonly text: string
  readonly version: string
  readonly record: string
  readonly id: string
  readonly replaces: string
  readonly commitment: string
  readonly digest: string
}

const english: ConsentWords = {
  title: 'Consent to share health data',
  study: 'Study',
  purpose: 'Purpose',
  sponsor: 'Sponsor',
  board: 'Approved by',
  contact: 'Contact',
  moreAt: 'Read more at',
  participant: 'Participant',
  givenBy: 'Agreed on their behalf',
  signature: 'Signature',
  givenAt: 'Agreed on',
  expiresAt: 'Valid until',
  noEnd: 'until it is withdrawn',
  sharing: 'How often',
  once: 'once',
  ongoing: 'also what is new later',
  shared: 'What is shared',
  withheld: 'What is not shared',
  dated: 'Only what is dated',
  from: 'from',
  to: 'to',
  about: 'Nothing about',
  recipients: 'Who receives it',
  text: 'The text that was agreed to',
  version: 'Version',
  record: 'Record of this consent',
  id: 'Number',
  replaces: 'Takes the place of',
  commitment: 'Withdrawal commitment (SHA-256)',
  digest: 'Digest (SHA-256)',
}

export interface ConsentPageOptions {
  /** Adds what only the study knows: purpose, sponsor, review board, contact, and what was not agreed to. */
  readonly study?: Study
  /** Words in another language; those left out stay English. */
  readonly words?: Partial<ConsentWords>
  /** The language of the words, as a BCP 47 tag. Default `en`. */
  readonly language?: string
}

/**
 * A consent as a page to print or to file: what was agreed to, by whom, for what and until when. A complete HTML
 * document that loads nothing and runs nothing; what is secret in a consent record is not in it.
 *
 * @example new Blob([consentPage(consent, { study })], { type: 'text/html' })
 */
export function consentPage(consent: ConsentDocument, options: ConsentPageOptions = {}): string {
  const { study, language = 'en' } = options
  if (!/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(language))
    throw new TypeError('language is not a language tag')
  if (study && study.id !== consent.study.id) throw new TypeError('the consent is for another study')
  const words = { ...english, ...options.words }
  const title = `${words.title}: ${consent.study.title}`
  return `<!doctype html>
<html lang="${language}" dir="${directionOf(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '${styleHash()}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escaped(words.title)}</h1>
${rows(aboutOf(consent, study, words))}
${section(words.shared, items(consent.dataClasses.map((name) => own(name))))}
${withheldOf(consent, study, words)}
${recipientsOf(consent, words)}
${section(words.text, `<p class="version">${escaped(words.version)} ${own(consent.version)}</p>\n${textOf(consent)}`)}
${section(words.record, rows(recordOf(consent, words)))}
</main>
</body>
</html>
`
}

type Row = readonly [word: string, html: string]

function aboutOf(consent: ConsentDocument, study: Study | undefined, words: ConsentWords): Row[] {
  const { givenBy, sharing, expiresAt } = consent
  const when = [
    [words.givenAt, time(consent.givenAt)],
    [words.expiresAt, expiresAt === undefined ? escaped(words.noEnd) : time(expiresAt)],
  ] as const
  return [
    [words.study, `${own(consent.study.title)} (${own(consent.study.id)})`],
    ...(study ? studyOf(study, words) : []),
    [words.participant, own(consent.participant)],
    ...(givenBy ? [[words.givenBy, `${own(givenBy.name)} (${own(givenBy.relationship)})`] as const] : []),
    [words.signature, own(consent.signature)],
    ...when,
    ...(sharing ? [[words.sharing, escaped(words[sharing])] as const] : []),
    ...(consent.period ? [[words.dated, periodOf(consent.period, words)] as const] : []),
    ...(consent.withhold
      ? [[words.about, consent.withhold.map((id) => own(saysOf(id))).join(', ')] as const]
      : []),
  ]
}

function periodOf({ start, end }: Period, words: ConsentWords): string {
  const [from, to] = [
    start && `${escaped(words.from)} ${time(start)}`,
    end && `${escaped(words.to)} ${time(end)}`,
  ]
  return [from, to].filter((one) => one !== undefined).join(' ')
}

const saysOf = (id: string): string => sensitiveCategories.find((row) => row.id === id)?.says ?? id

function studyOf({ purpose, sponsor, irb, contact, infoUrl }: Study, words: ConsentWords): Row[] {
  const found: readonly (readonly [string, string | undefined])[] = [
    [words.purpose, own(purpose)],
    [words.sponsor, sponsor && own(sponsor)],
    [words.board, irb && `${own(irb.name)} (${own(irb.id)})`],
    [words.contact, contact && own(contact)],
    [words.moreAt, infoUrl && own(infoUrl)],
  ]
  return found.flatMap(([word, html]): Row[] => (html === undefined || html === '' ? [] : [[word, html]]))
}

function withheldOf({ dataClasses }: ConsentDocument, study: Study | undefined, words: ConsentWords): string {
  const names = (study?.plan.classes ?? [])
    .map(({ name }) => name)
    .filter((name) => !dataClasses.includes(name))
  return names.length === 0 ? '' : section(words.withheld, items(names.map((name) => own(name))))
}

function recipientsOf({ recipients }: ConsentDocument, words: ConsentWords): string {
  if (!recipients) return ''
  const lines = recipients.map(({ name, role }) =>
    role === undefined ? own(name) : `${own(name)}: ${own(role)}`,
  )
  return section(words.recipients, items(lines))
}

function textOf({ text, language }: ConsentDocument): string {
  const tag = language === undefined ? '' : ` lang="${escaped(language)}"`
  return `<blockquote${tag} dir="auto">${escaped(text)}</blockquote>`
}

function recordOf(consent: ConsentDocument, words: ConsentWords): Row[] {
  const code = (text: string): string => `<code>${escaped(text)}</code>`
  return [
    [words.id, code(consent.id)],
    ...(consent.replaces === undefined ? [] : [[words.replaces, code(consent.replaces)] as const]),
    [words.commitment, code(consent.withdrawalCommitment)],
    [words.digest, code(consent.digest)],
  ]
}

const rows = (all: readonly Row[]): string =>
  `<dl>\n${all.map(([word, html]) => `<dt>${escaped(word)}</dt><dd>${html}</dd>`).join('\n')}\n</dl>`
const section = (word: string, html: string): string =>
  `<section>\n<h2>${escaped(word)}</h2>\n${html}\n</section>`
const items = (all: readonly string[]): string =>
  `<ul>\n${all.map((html) => `<li>${html}</li>`).join('\n')}\n</ul>`

// A name that is written from right to left must not turn what stands around it.
const own = (text: string): string => `<bdi>${escaped(text)}</bdi>`

function time(text: string): string {
  const shown = text.replace(/^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}).*Z$/, '$1 $2 UTC')
  return `<time datetime="${escaped(text)}">${escaped(shown)}</time>`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

// Control characters are no text; a browser would guess at what they were meant to be.
function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '\ufffd')
      .replace(/[&<>"']/g, (character) => entities[character] as string)
  )
}

const rightToLeft = new Set(['ar', 'arc', 'ckb', 'dv', 'fa', 'he', 'ks', 'ku', 'ps', 'sd', 'ug', 'ur', 'yi'])
const directionOf = (language: string): 'ltr' | 'rtl' =>
  rightToLeft.has(language.split('-')[0]?.toLowerCase() ?? '') ? 'rtl' : 'ltr'

const style = `
body { margin: 2rem auto; padding: 0 1rem; max-width: 44rem; font: 1rem/1.5 serif; color: #111; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin: 1.5rem 0 .5rem }
dl { display: grid; grid-template-columns: minmax(8rem, auto) 1fr; gap: .25rem 1rem; margin: 0 }
dt { font-weight: bold } dd { margin: 0; overflow-wrap: anywhere }
blockquote { margin: 0; padding: .5rem 1rem; border-inline-start: .2rem solid #666; white-space: pre-wrap }
code { overflow-wrap: anywhere }
@media print { @page { margin: 2cm } body { margin: 0; max-width: none } h2, dt { break-after: avoid } section li { break-inside: avoid } }
`

/** What lets this one style in, and no other. @see https://www.w3.org/TR/CSP3/#grammardef-hash-source */
function styleHash(): string {
  const bytes = sha256Now(style).match(/../g) ?? []
  return `sha256-${base64(Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16)))}`
}
