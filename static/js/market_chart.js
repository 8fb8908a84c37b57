/* The chart of the market data page: candles and volume, on the reader's clock and in the reader's colours. */

import { CandlestickSeries, HistogramSeries, createChart } from "../vendor/lightweight-charts-5.2.1/lightweight-charts.js";
import { instant } from "./format.js";

const root = document.documentElement;
const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

/** A chart in `box` of bars of `seconds` length and a tick size; `bars` hold time (Unix seconds), prices, volume. */
export function marketChart(box, seconds, tick) {
  const isDaily = seconds >= 86400;
  const digits = (String(tick).split(".")[1] ?? "").length;
  const chart = createChart(box, {
    autoSize: true,
    layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11 },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderVisible: false, timeVisible: !isDaily, secondsVisible: seconds < 60, rightOffset: 6 },
  });
  const candles = chart.addSeries(CandlestickSeries, { priceFormat: { type: "price", precision: digits, minMove: Number(tick) } });
  box.candles = candles; // for the marks
  const volume = chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  let [up, down] = ["", ""];

  /** A bar's label: days and longer ones are named by a date, which is the exchange's and no instant. */
  function label(time) {
    if (isDaily) return instant(new Date(time * 1000), "utc", "date");
    return instant(new Date(time * 1000), root.dataset.zone, seconds < 60 ? "full" : "minute");
  }

  function mark(time) {
    if (isDaily) return instant(new Date(time * 1000), "utc", "date").slice(5);
    const text = instant(new Date(time * 1000), root.dataset.zone, "full");
    if (text.slice(11, 19) === "00:00:00") return text.slice(5, 10);
    return text.slice(11, seconds < 60 ? 19 : 16);
  }

  const size = (bar) => ({ time: bar.time, value: bar.volume, color: `${bar.close >= bar.open ? up : down}66` });

  return {
    label,
    /** Colours and clock, as the reader has chosen them; the bars are to be drawn again. */
    dress() {
      const [line, muted, ground] = ["--line", "--muted", "--raised"].map(color);
      [up, down] = ["--up", "--down"].map(color);
      chart.applyOptions({
        layout: { background: { color: ground }, textColor: muted },
        grid: { vertLines: { color: line }, horzLines: { color: line } },
        localization: { timeFormatter: label },
        timeScale: { tickMarkFormatter: mark },
      });
      candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
    },
    draw(bars) {
      candles.setData(bars);
      volume.setData(bars.map(size));
    },
    /** One bar at the end, new or grown. */
    update(bar) {
      candles.update(bar);
      volume.update(size(bar));
    },
    showNewest(count) {
      chart.timeScale().setVisibleLogicalRange({ from: Math.max(-2, count - 140), to: Math.max(40, count + 6) });
    },
    scrollToNewest: () => chart.timeScale().scrollToRealTime(),
    onRange: (handler) => chart.timeScale().subscribeVisibleLogicalRangeChange(handler),
  };
}
