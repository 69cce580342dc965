import { type Connection, coreOf } from './connection.js'
import { SmartError } from './errors.js'
import { type FhirRequest, requestOnce } from './fhir/request.js'
import { isObject, type Json, parseJson, stringAt } from './util/json.js'
import type { TransportResponse } from './util/transport.js'
import { isPathSegment, join } from './util/url.js'

/** What an app keeps at the EHR: JSON by URL. The EHR does not look into it, and clinical data does not belong here. */
export type AppStateValues = Readonly<Record<string, Json>>

/** One state, as it was when it was read. */
export interface AppStateItem {
  readonly id: string
  /** The ETag; a change is refused when another came first. */
  readonly version: string
  /** `patient` for a state of this connection's patient; `global` for one of the app alone. */
  readonly subject: 'patient' | 'global'
  /** As the EHR returned it: check it before you rely on its shape. */
  readonly values: Readonly<Record<string, unknown>>
}

export interface AppStateOptions {
  /** What tells the app's states from those of others, in a code system of the app's own. */
  readonly code: { readonly system: string; readonly code: string }
  /** Where states are kept, when the EHR does not say. */
  readonly endpoint?: string
}

type Call = { readonly signal?: AbortSignal }

/** The states of one app at one EHR. */
export interface AppState {
  find(subject?: AppStateItem['subject'], options?: Call): Promise<AppStateItem[]>
  create(
    values: AppStateValues,
    options?: Call & { readonly subject?: AppStateItem['subject'] },
  ): Promise<AppStateItem>
  /**
   * Replaces the values. When another change came first, `merge` is given what is there now and what was wanted, and
   * decides; without it the change is refused.
   *
   * @throws SmartError `FHIR_CONFLICT`
   */
  update(
    item: AppStateItem,
    values: AppStateValues,
    options?: Call & {
      readonly merge?: (current: AppStateItem['values'], wanted: AppStateValues) => AppStateValues
    },
  ): Promise<AppStateItem>
  /** @throws SmartError `FHIR_CONFLICT` when it was changed since it was read */
  remove(item: AppStateItem, options?: Call): Promise<void>
}

/** SMART 2.2: larger states may be refused. Bytes. */
const largest = 256 * 1024
const merges = 5

/**
 * Opens the place where an EHR keeps small states of apps. Needs a scope such as
 * `patient/Basic.cuds?code=https://app.example|state`.
 *
 * @throws SmartError `CONFIG_INVALID` when the EHR has no such place
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html
 */
export function appState(connection: Connection, options: AppStateOptions): AppState {
  const { stored, world, send } = coreOf(connection)
  const { code } = options
  const endpoint = options.endpoint ?? stored.endpoints.appState
  const subject = stored.provider
  if (endpoint === undefined)
    throw new SmartError('CONFIG_INVALID', `${world.provider.name} keeps no state for apps`, { subject })
  if (!code?.system || !code.code)
    throw new SmartError('CONFIG_INVALID', 'app state needs a system and a code')
  const patient = join(stored.iss, `Patient/${stored.patient}`)
  const removed = new Set<string>()

  const ask = (
    path: string,
    wanted: Omit<FhirRequest, 'url'>,
    signal?: AbortSignal,
  ): Promise<TransportResponse> =>
    requestOnce(
      { send, clock: world.platform.clock, provider: world.provider },
      { ...wanted, url: join(endpoint, path), within: [endpoint], ...(signal ? { signal } : {}) },
    )

  const invalid = (): SmartError =>
    new SmartError('FHIR_RESPONSE_INVALID', `${world.provider.name} sent something that is no app state`, {
      subject,
    })

  // An EHR may keep what it was sent in its own way: only what is ours is read.
  const itemOf = (value: unknown, etag: string | null): AppStateItem => {
    const id = stringAt(value, 'id')
    if (!isObject(value) || value.resourceType !== 'Basic' || !isPathSegment(id)) throw invalid()
    const version = etag ?? `W/"${stringAt(value.meta, 'versionId') ?? ''}"`
    const entries = (Array.isArray(value.extension) ? value.extension : []).flatMap(
      (one): [string, unknown][] => {
        const url = stringAt(one, 'url')
        const text = isObject(one) && typeof one.valueString === 'string' ? one.valueString : undefined
        return url === undefined || text === undefined || url === '__proto__' ? [] : [[url, parseJson(text)]]
      },
    )
    return Object.freeze({
      id,
      version,
      subject: value.subject === undefined ? 'global' : 'patient',
      values: Object.freeze(Object.fromEntries(entries)),
    })
  }

  const bodyOf = (values: AppStateValues, about: AppStateItem['subject'], id?: string): string => {
    const text = JSON.stringify({
      resourceType: 'Basic',
      ...(id === undefined ? {} : { id }),
      code: { coding: [{ system: code.system, code: code.code }] },
      ...(about === 'patient' ? { subject: { reference: patient } } : {}),
      extension: Object.entries(values).map(([url, value]) => ({ url, valueString: JSON.stringify(value) })),
    })
    if (new TextEncoder().encode(text).length > largest)
      throw new SmartError('CONFIG_INVALID', 'an app state may hold 256 kB', { subject })
    return text
  }

  const read = async (id: string, signal?: AbortSignal): Promise<AppStateItem> => {
    const answer = await ask(`Basic/${id}`, {}, signal)
    return itemOf(parseJson(answer.text()), answer.headers.get('etag'))
  }

  const written = async (answer: TransportResponse, signal?: AbortSignal): Promise<AppStateItem> => {
    const value = parseJson(answer.text())
    if (isObject(value) && value.resourceType === 'Basic') return itemOf(value, answer.headers.get('etag'))
    // Only the address of what was made came back.
    const id = /\/Basic\/([A-Za-z0-9._-]+)/.exec(answer.headers.get('location') ?? '')?.[1]
    if (!isPathSegment(id)) throw invalid()
    return read(id, signal)
  }

  const alive = (item: AppStateItem): void => {
    if (removed.has(item.id))
      throw new SmartError('CONFIG_INVALID', 'that app state was removed', { subject })
  }

  const put = async (
    item: AppStateItem,
    values: AppStateValues,
    signal?: AbortSignal,
  ): Promise<AppStateItem> =>
    written(
      await ask(
        `Basic/${item.id}`,
        {
          method: 'PUT',
          contentType: 'application/fhir+json',
          headers: { 'if-match': item.version },
          body: bodyOf(values, item.subject, item.id),
        },
        signal,
      ),
      signal,
    )

  return Object.freeze({
    async find(about: AppStateItem['subject'] = 'patient', call: Call = {}) {
      const query = new URLSearchParams({ code: `${code.system}|${code.code}` })
      if (about === 'patient') query.set('subject', patient)
      else query.set('subject:missing', 'true')
      const bundle = parseJson((await ask(`Basic?${query}`, {}, call.signal)).text())
      if (!isObject(bundle) || bundle.resourceType !== 'Bundle') throw invalid()
      return (Array.isArray(bundle.entry) ? bundle.entry : [])
        .filter(isObject)
        .filter(({ resource }) => isObject(resource) && resource.resourceType === 'Basic')
        .map(({ resource }) => itemOf(resource, null))
    },

    async create(values: AppStateValues, call: Call & { readonly subject?: AppStateItem['subject'] } = {}) {
      const body = bodyOf(values, call.subject ?? 'patient')
      return written(
        await ask('Basic', { method: 'POST', contentType: 'application/fhir+json', body }, call.signal),
        call.signal,
      )
    },

    async update(
      item: AppStateItem,
      values: AppStateValues,
      call: Call & {
        readonly merge?: (current: AppStateItem['values'], wanted: AppStateValues) => AppStateValues
      } = {},
    ) {
      alive(item)
      let [known, wanted] = [item, values]
      for (let attempt = 1; ; attempt++) {
        try {
          return await put(known, wanted, call.signal)
        } catch (error) {
          const conflict = error instanceof SmartError && error.code === 'FHIR_CONFLICT'
          if (!conflict || !call.merge || attempt >= merges) throw error
          known = await read(item.id, call.signal)
          wanted = call.merge(known.values, values)
        }
      }
    },

    async remove(item: AppStateItem, call: Call = {}) {
      alive(item)
      await ask(`Basic/${item.id}`, { method: 'DELETE', headers: { 'if-match': item.version } }, call.signal)
      removed.add(item.id)
    },
  } satisfies AppState)
}
