import type { Resource } from '../../fhir/resource.js'
import { createChart } from '../chart.js'
import {
  concept,
  conditions,
  labs,
  loinc,
  medicines,
  panels,
  snomed,
  systems,
  vaccines,
  visitTypes,
  vitals,
} from '../codes.js'
import {
  addAllergy,
  addCarePlan,
  addCareTeam,
  addCondition,
  addCoverage,
  addDepressionScreening,
  addFamilyHistory,
  addFoodScreening,
  addGoal,
  addImmunization,
  addNote,
  addObservation,
  addPanel,
  addPrescription,
  addProcedure,
  addSmoking,
  addVitals,
  coded,
  measured,
  noteTypes,
  pdfNote,
  plainNote,
} from '../entries.js'
import { lipidResults, metabolicResults } from '../physiology.js'
import type { Random } from '../random.js'
import { ageAt, at } from '../time.js'

/** Daniel, who has had type 2 diabetes and high blood pressure for some years, both by now well treated. */
export function daniel(random: Random): Iterable<Resource> {
  const birthDate = '1968-04-19'
  const chart = createChart(
    {
      id: 'daniel',
      given: ['Daniel', 'Chidi'],
      family: 'Okafor',
      gender: 'male',
      birthDate,
      race: ['2054-5', 'Black or African American'],
      ethnicity: ['2186-5', 'Not Hispanic or Latino'],
      language: ['en', 'English'],
      clinician: 'grace-adeyemi',
      since: at('2018-02-05', '08:50'),
      phone: '312-555-0177',
    },
    random,
  )
  addCoverage(chart, at('2018-02-05'), 'PHP-771034-01', ['512', 'Commercial Managed Care - PPO'])

  const dates = [
    '2021-03-02',
    '2021-06-08',
    '2021-09-14',
    '2022-01-11',
    '2022-07-19',
    '2023-01-24',
    '2023-07-18',
    '2024-01-16',
    '2024-07-23',
    '2025-01-21',
    '2025-07-22',
    '2026-01-20',
    '2026-05-12',
  ] as const
  // What treatment did: from the day of diagnosis to the last visit.
  const sugar = [9.2, 8.1, 7.4, 7.1, 7, 7.2, 6.9, 6.8, 7, 6.9, 6.7, 6.8, 6.7] as const
  const systolic = [158, 149, 142, 138, 134, 136, 131, 130, 133, 128, 129, 127, 128] as const
  const weight = [104.2, 102.8, 100.9, 98.7, 97.5, 97.9, 96.4, 95.8, 96.6, 95.2, 94.7, 94.9, 94.3] as const
  let diabetes = ''
  let hypertension = ''

  for (const [index, date] of dates.entries()) {
    const visit = chart.visit({
      time: at(date, index % 2 === 0 ? '08:40' : '16:20'),
      kind: index === 0 ? visitTypes.checkUp : visitTypes.followUp,
      minutes: 25,
      ...(index % 4 === 3 ? { clinician: 'tomas-lindqvist' as const } : {}),
      ...(diabetes ? { reason: { reasonReference: [{ reference: diabetes }] } } : {}),
    })
    const hba1c = sugar[index] as number
    addVitals(chart, visit, {
      pressure: [systolic[index] as number, Math.round((systolic[index] as number) * 0.6)],
      heartRate: random.about(76, 3),
      respiratoryRate: random.about(15, 1),
      temperature: random.about(36.7, 0.1, 1),
      oxygen: random.about(97, 0.5),
      height: 178,
      weight: weight[index] as number,
    })
    if (index === 0) {
      diabetes = addCondition(chart, visit, conditions.diabetes2)
      hypertension = addCondition(chart, visit, conditions.hypertension)
      addCondition(chart, visit, conditions.hyperlipidemia)
      addCondition(chart, visit, conditions.obesity)
      addCondition(chart, visit, conditions.diabetes2, { category: 'encounter-diagnosis' })
      addAllergy(chart, visit, concept(snomed('91935009', 'Allergy to peanut')), {
        manifestation: snomed('39579001', 'Anaphylaxis'),
        severity: 'severe',
        category: 'food',
      })
      addFamilyHistory(chart, visit, ['FTH', 'father'], conditions.diabetes2, 49)
      addFamilyHistory(chart, visit, ['MTH', 'mother'], conditions.hypertension, 55)
      addPrescription(
        chart,
        visit,
        { inline: medicines.metformin },
        {
          dose: 'One tablet twice a day with meals',
          daily: 2,
          reason: diabetes,
          dispenses: 20,
        },
      )
      addPrescription(
        chart,
        visit,
        { contained: medicines.lisinopril },
        {
          dose: 'One tablet a day',
          daily: 1,
          status: 'stopped',
          reason: hypertension,
          dispenses: 2,
        },
      )
      addPrescription(
        chart,
        visit,
        { reference: 'Medication/atorvastatin' },
        {
          dose: 'One tablet at night',
          daily: 1,
          dispenses: 20,
        },
      )
    }
    if (index === 2) {
      addPrescription(
        chart,
        visit,
        { inline: medicines.lisinopril20 },
        {
          dose: 'One tablet a day',
          daily: 1,
          reason: hypertension,
          dispenses: 19,
        },
      )
    }
    addPanel(chart, visit, panels.hba1c, [[labs.hba1c, hba1c]])
    if (index % 3 === 0) {
      addPanel(
        chart,
        visit,
        panels.metabolic,
        metabolicResults(random, {
          // The mean glucose that goes with an HbA1c, a little lower for being fasting.
          glucose: Math.round(28.7 * hba1c - 46.7 - 14),
          creatinine: 1.02,
          age: ageAt(birthDate, visit.time),
          female: false,
        }),
      )
      addPanel(chart, visit, panels.lipid, lipidResults(random, { total: index === 0 ? 231 : 168, hdl: 42 }))
      addPanel(chart, visit, panels.urineAlbumin, [[labs.albuminRatio, random.about(18, 4)]], 'urine')
    }
    if (index % 4 === 0) addSmoking(chart, visit, 'former')
    if (index % 2 === 1) addImmunization(chart, visit, vaccines.influenza)
    addNote(
      chart,
      visit,
      index % 4 === 3 ? noteTypes.consult : noteTypes.progress,
      plainNote(chart, visit, index === 0 ? 'Check-up' : 'Diabetes follow-up', [
        `HbA1c ${hba1c} %, blood pressure ${systolic[index]} systolic, weight ${weight[index]} kg.`,
        hba1c > 7.5
          ? 'Sugar too high. Spoke about food, walking and how metformin is taken.'
          : 'Sugar at goal. Goes on as before; walks half an hour most days.',
        'Feet: no wounds, feels the filament. Next visit in six months.',
      ]),
      { inline: index === 5 },
    )
  }

  const visit = chart.visit({ time: at('2025-02-11', '13:00'), kind: visitTypes.checkUp, minutes: 40 })
  addProcedure(chart, visit, snomed('73761001', 'Colonoscopy'))
  addProcedure(chart, visit, snomed('430193006', 'Medication reconciliation'))
  addObservation(chart, visit, {
    category: 'exam',
    code: loinc('10197-2', 'Physical findings of Eye Narrative'),
    value: { valueString: 'No retinopathy in either eye.' },
    profile: 'observation-clinical-result',
  })
  addObservation(chart, visit, {
    category: 'activity',
    code: loinc('55423-8', 'Number of steps in unspecified time Pedometer'),
    value: { valueQuantity: { value: 7412, unit: '{steps}', system: systems.ucum, code: '{steps}' } },
    profile: 'simple-observation',
  })
  addDepressionScreening(chart, visit, [0, 1])
  addFoodScreening(chart, visit, true)
  addCondition(chart, visit, conditions.foodInsecurity, { category: 'health-concern' })
  addObservation(chart, visit, {
    category: 'social-history',
    code: loinc('76690-7', 'Sexual orientation'),
    value: coded(snomed('20430005', 'Heterosexual')),
    profile: 'observation-sexual-orientation',
  })
  addObservation(chart, visit, {
    category: 'vital-signs',
    code: loinc('96607-7', 'Blood pressure panel mean systolic and mean diastolic'),
    value: {
      component: (
        [
          ['96608-5', 'Systolic blood pressure mean', 129],
          ['96609-3', 'Diastolic blood pressure mean', 77],
        ] as const
      ).map(([code, display, value]) => ({
        code: concept(loinc(code, display)),
        valueQuantity: { value, unit: 'mmHg', system: systems.ucum, code: 'mm[Hg]' },
      })),
    },
    profile: 'average-blood-pressure',
  })
  addNote(
    chart,
    visit,
    noteTypes.summary,
    pdfNote('Summary of care', [
      'Daniel Okafor, born 1968-04-19.',
      'Type 2 diabetes since 2021, HbA1c 6.9 %. Hypertension, treated. Hyperlipidemia, treated.',
      'Medicines: metformin, lisinopril, atorvastatin. Allergy: peanut (anaphylaxis).',
    ]),
  )
  const sugarGoal = addGoal(chart, visit, 'HbA1c below 7 percent', '2026-12-31', [labs.hba1c, 7])
  const pressureGoal = addGoal(chart, visit, 'Systolic blood pressure of 130 or less', '2026-12-31', [
    vitals.systolic,
    130,
  ])
  addCarePlan(
    chart,
    visit,
    'Type 2 diabetes and hypertension at goal. Go on with metformin, lisinopril and atorvastatin; HbA1c every six months; eyes and kidneys every year. Referred to the food pantry.',
    [diabetes, hypertension],
    [sugarGoal, pressureGoal],
  )
  addObservation(chart, visit, {
    category: 'treatment-intervention-preference',
    system: systems.usCoreCategory,
    code: loinc('75773-2', 'Goals, preferences, and priorities for medical treatment [Reported]'),
    value: { valueString: 'Prefers to change how he eats before he takes another medicine.' },
    profile: 'treatment-intervention-preference',
  })
  addObservation(chart, visit, {
    category: 'laboratory',
    code: labs.tsh.code,
    value: measured(labs.tsh, 1.84),
    profile: 'observation-lab',
  })
  addCareTeam(chart, at('2021-03-02', '09:30'), ['grace-adeyemi', 'tomas-lindqvist'])
  return chart.finish()
}
