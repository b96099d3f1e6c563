#include "reports/html_style.h"

namespace evictbench {

// Line colours: eight that stay apart with colour-blind eyes, in a darker and a lighter version.
const char* const kPageStyle = R"css(
:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--quiet:#5b6470;--rule:#d9dde2;--faint:#eceef1;
--panel:#f7f8f9;--alert:#9a3412;--link:#0b5cad;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#b5529a;--s4:#c08a00;--s5:#3fa0d8;--s6:#5d3a9b;--s7:#7a5c2e}
@media (prefers-color-scheme:dark){:root{--ground:#14171b;--text:#e4e7eb;--quiet:#9aa3ae;--rule:#363c44;
--faint:#262b31;--panel:#1b1f25;--alert:#fdba74;--link:#7ab8f5;
--s0:#56a8e0;--s1:#ff8f4d;--s2:#2fc79b;--s3:#e59ccb;--s4:#f0b93a;--s5:#9ad7f7;--s6:#b79bf0;--s7:#cbb28a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",Arial,"Noto Sans","Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
main,header,nav{max-width:1240px;margin:0 auto;padding:0 28px}
header{padding-top:36px}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:20px;margin:0 0 4px;letter-spacing:-.005em}
h3{font-size:15px;margin:26px 0 8px;font-weight:400}
p{margin:0 0 10px;max-width:78ch}
.lead,.quiet{color:var(--quiet)}
section{border-top:1px solid var(--rule);padding:26px 0 30px}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;padding-top:12px;padding-bottom:18px;font-size:14px}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
dl{display:grid;grid-template-columns:minmax(110px,max-content) 1fr;gap:3px 22px;margin:10px 0 0}
dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
ul{margin:8px 0 0;padding-left:20px}li{margin:3px 0;overflow-wrap:anywhere}
.notes{color:var(--alert)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:14px}
th{font-weight:500;color:var(--quiet);text-align:right;padding:5px 12px;white-space:nowrap}
td{text-align:right;padding:5px 12px;white-space:nowrap}
thead th{border-bottom:1px solid var(--rule);vertical-align:bottom}
tbody tr+tr>*{border-top:1px solid var(--faint)}
tbody th,th.left,td.left{text-align:left}
tbody th{color:var(--text);font-weight:400}
th:first-child,td:first-child{padding-left:0}
.range.gap{min-width:10.5em;text-align:right}
td.across{text-align:center}
.scores th:first-child{min-width:190px}.scores td{min-width:102px}
tr.base>*{border-bottom:1px solid var(--rule)}
tr.base+tr>*{border-top:0}
td b{font-weight:650}
.range{display:inline-block;min-width:4.2em;text-align:left;color:var(--quiet);font-size:12px;padding-left:7px}
.hole{color:var(--alert);font-size:12px}
.hole.under{display:block;line-height:1.2}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,370px),1fr));gap:26px 30px;margin-top:14px}
figure{margin:0}figcaption{font-size:14px;margin-bottom:4px;line-height:1.4}
figcaption .quiet{display:block}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;margin:14px 0 0;padding:0;list-style:none;font-size:14px}
.legend li{margin:0}
.key{width:26px;height:12px;margin-right:7px;vertical-align:-1px;overflow:visible}
.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{font-size:12px;fill:var(--quiet)}
.chart line.grid{stroke:var(--faint)}
.chart line.axis{stroke:var(--quiet)}
line.full{stroke:var(--text);stroke-width:1.3;stroke-dasharray:5 4}
.s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}
.s4{color:var(--s4)}.s5{color:var(--s5)}.s6{color:var(--s6)}.s7{color:var(--s7)}
.curve{fill:none;stroke:currentColor;stroke-width:1.7;stroke-linejoin:round}
.whisker{stroke:currentColor;stroke-width:1;opacity:.5}
.mark{fill:currentColor;stroke:var(--ground);stroke-width:1}
details{border-top:1px solid var(--faint);padding:7px 0}
details details{border:0;padding:4px 0 4px 18px}
summary{cursor:pointer}
details>.scroll,details>.heats{margin:8px 0 12px}
.heats{display:flex;flex-wrap:wrap;gap:20px 34px}
.heat{border-collapse:separate;border-spacing:1px;font-size:12px}
.heat caption{text-align:left;font-size:14px;padding-bottom:5px;white-space:nowrap}
.heat th{padding:3px 7px;border:0!important;font-weight:400;font-size:12px;color:var(--quiet);text-align:right}
.heat thead th{text-align:center}
.heat td{padding:5px 7px;min-width:48px;text-align:center;border:0!important;color:#14171b}
.heat td.hole{color:var(--alert);background:var(--panel);font-size:11px}
.heat td small{display:block;font-size:10px;line-height:1.1}
.scale{display:inline-block;width:150px;height:10px;margin:0 7px;vertical-align:-1px;
background:linear-gradient(90deg,#f0496e,#ebb839,#0cd79f)}
.answers td,.answers th{white-space:normal;text-align:left;vertical-align:top;border-top:1px solid var(--faint)}
.answers{table-layout:fixed;width:100%;margin:4px 0 16px}
.answers .who{width:34%}.answers .score{width:72px;text-align:right}
.answers td.score{text-align:right}
.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
footer{color:var(--quiet);font-size:13px;border-top:1px solid var(--rule);padding:16px 0 40px}
@media print{body{font-size:11px}nav{display:none}}
)css";

}  // namespace evictbench
