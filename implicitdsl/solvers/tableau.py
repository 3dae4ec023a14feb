"""The explicit Runge–Kutta methods that an `ode` can name, one record each (`butcher_tableau.py`).

Sources: E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed. 1993 (euler, midpoint,
heun, rk4, dopri5 and its interpolant of order 4, section II.6); P. Bogacki, L. F. Shampine, Appl. Math. Lett. 2 (1989)
321–325 (bosh3); Ch. Tsitouras, Comput. Math. Appl. 62 (2011) 770–775 (tsit5 and its free interpolant of order 4).
"""

from __future__ import annotations

from implicitdsl.solvers.butcher_tableau import Tableau, rational
from implicitdsl.solvers.high_order_tableaus import DOP853, PRINCE9
from implicitdsl.solvers.split_tableaus import LEAPFROG, YOSHIDA4

EULER = rational("euler", order=1, error_order=1, dense_order=1, fsal=False, a=" ; 1", error="1/2 -1/2")

MIDPOINT = rational("midpoint", order=2, error_order=1, dense_order=2, fsal=False, a=" ; 1/2 ; 0 1", error="-1 1 0")

HEUN = rational("heun", order=2, error_order=1, dense_order=2, fsal=False, a=" ; 1 ; 1/2 1/2", error="-1/2 1/2 0")

BOSH3 = rational(
    "bosh3",
    order=3,
    error_order=2,
    dense_order=3,
    fsal=True,
    a=" ; 1/2 ; 0 3/4 ; 2/9 1/3 4/9",
    error="-5/72 1/12 1/9 -1/8",
)

RK4 = rational("rk4", order=4, error_order=0, dense_order=3, fsal=False, a=" ; 1/2 ; 0 1/2 ; 0 0 1 ; 1/6 1/3 1/3 1/6")

DOPRI5 = rational(
    "dopri5",
    order=5,
    error_order=4,
    dense_order=4,
    fsal=True,
    a="""; 1/5 ; 3/40 9/40 ; 44/45 -56/15 32/9 ; 19372/6561 -25360/2187 64448/6561 -212/729 ;
         9017/3168 -355/33 46732/5247 49/176 -5103/18656 ; 35/384 0 500/1113 125/192 -2187/6784 11/84""",
    error="71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40",
    bubble="""-12715105075/11282082432 0 87487479700/32700410799 -10690763975/1880347072
              701980252875/199316789632 -1453857185/822651844 69997945/29380423""",
)

TSIT5 = Tableau(
    name="tsit5",
    order=5,
    error_order=4,
    dense_order=4,
    fsal=True,
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
    ),
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        0.015151515151515152,
    ),
    dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
)

TABLEAUS: dict[str, Tableau] = {
    method.name: method for method in (EULER, MIDPOINT, HEUN, BOSH3, RK4, DOPRI5, TSIT5, DOP853, PRINCE9)
}
"""The methods by the name that `solver name(…)` uses."""

SPLIT: dict[str, Tableau] = {method.name: method for method in (LEAPFROG, YOSHIDA4)}
"""The methods for separable systems, whose stages move one part of the state."""

EXPLICIT = TABLEAUS | SPLIT
